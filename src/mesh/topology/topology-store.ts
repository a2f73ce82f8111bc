import { sql } from 'kysely'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import type { AppliedTarget } from '../applied-object.ts'

/** What there is of a table under these names, told by the moment it was made. */
export async function topologyTargets(
  db: Db,
  meshId: MeshId,
  {
    table,
    names,
    clusterOf,
  }: {
    readonly table: 'cluster' | 'network' | 'gateway' | 'control_plane'
    readonly names: readonly string[]
    /** The column that names the cluster it belongs to. */
    readonly clusterOf: 'name' | 'cluster' | undefined
  },
): Promise<AppliedTarget[]> {
  if (names.length === 0) return []
  const cluster = sql<string | null>`${clusterOf === undefined ? null : sql.ref(clusterOf)}`
  const rows = await db
    .selectFrom(table)
    .select(['name', 'created_at', cluster.as('within')])
    .where('mesh_id', '=', meshId)
    .where('name', 'in', [...names])
    .execute()
  return rows.map(({ name, created_at: made, within }) => ({
    name,
    objectId: made.toISOString(),
    within: within === null ? [] : [within],
  }))
}

/** Deletes the links and gateways of a mesh that is about to be deleted, whatever order its rows then go in. */
export async function clearTopology(trx: Db, meshId: MeshId): Promise<void> {
  for (const table of ['gateway', 'cluster_network', 'cluster_control_plane'] as const) {
    await trx.deleteFrom(table).where('mesh_id', '=', meshId).execute()
  }
}
