import { sql } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'

/** An entry that is tied to a cluster. */
export interface TiedEntry {
  readonly id: string
  readonly spiffeId: SpiffeId
}

/** The entries that are tied to a cluster, by SPIFFE ID. */
export async function entriesTiedTo(db: Db, meshId: MeshId, cluster: string): Promise<TiedEntry[]> {
  const rows = await db
    .selectFrom('entry')
    .select(['id', 'spiffe_id'])
    .where('mesh_id', '=', meshId)
    .where('cluster', '=', cluster)
    .orderBy('spiffe_id')
    .execute()
  return rows.map((row) => ({ id: row.id, spiffeId: row.spiffe_id }))
}

/** How many entries that have not ended are tied to a cluster, and how many of them hold an SVID that still lives. */
export async function countTied(
  db: Db,
  meshId: MeshId,
  { cluster, now }: { readonly cluster: string; readonly now: Date },
): Promise<{ readonly entries: number; readonly holding: number }> {
  const { rows } = await sql<{ entries: number; holding: number }>`
    select count(*)::integer as entries, count(*) filter (where exists (
      select from svid_issued s
      where s.mesh_id = entry.mesh_id and s.entry_id = entry.id and s.not_after > ${now}
    ))::integer as holding
    from entry
    where mesh_id = ${meshId} and cluster = ${cluster} and (expires_at is null or expires_at > ${now})`.execute(
    db,
  )
  return rows[0] ?? { entries: 0, holding: 0 }
}

/** Whether an entry is still tied to a cluster; if so it stays as it is until the transaction ends. */
export async function holdTied(
  trx: Db,
  meshId: MeshId,
  { id, cluster }: { readonly id: string; readonly cluster: string },
): Promise<boolean> {
  const row = await trx
    .selectFrom('entry')
    .select('id')
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .where('cluster', '=', cluster)
    .forShare()
    .executeTakeFirst()
  return row !== undefined
}
