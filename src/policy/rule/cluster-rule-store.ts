import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'

/** Names (or ids) of the rules that are limited to a cluster among others; at most `limit`. */
export async function rulesLimitedTo(
  db: Db,
  meshId: MeshId,
  { cluster, limit }: { readonly cluster: string; readonly limit: number },
): Promise<string[]> {
  const rows = await db
    .selectFrom('rule')
    .select(['id', 'name'])
    .where('mesh_id', '=', meshId)
    .where(sql<boolean>`jsonb_exists(clusters, ${cluster})`)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map(({ id, name }) => name ?? id)
}
