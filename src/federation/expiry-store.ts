import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'

/** Relationships whose time is up and that nobody has terminated, the longest due first. */
export async function listExpired(
  db: Db,
  { now, limit }: { readonly now: Date; readonly limit: number },
): Promise<{ readonly meshId: MeshId; readonly name: string }[]> {
  const rows = await db
    .selectFrom('relationship')
    .select(['mesh_id', 'name'])
    .where('expires_at', '<=', now)
    .where('state', '<>', 'terminated')
    .orderBy('expires_at')
    .limit(limit)
    .execute()
  return rows.map((row) => ({ meshId: row.mesh_id, name: row.name }))
}
