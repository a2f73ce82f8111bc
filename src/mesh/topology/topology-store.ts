import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'

/**
 * Keeps others from changing the topology of a mesh until the transaction ends; answers whether there is such a mesh.
 *
 * Rows that only refer to the mesh can still be written meanwhile.
 */
export async function lockTopology(trx: Db, meshId: MeshId): Promise<boolean> {
  const row = await trx
    .selectFrom('mesh')
    .select('mesh_id')
    .where('mesh_id', '=', meshId)
    .forNoKeyUpdate()
    .executeTakeFirst()
  return row !== undefined
}

/** When objects of a kind were made, by name; names that the mesh does not have are left out. */
export async function madeAt(
  db: Db,
  meshId: MeshId,
  {
    table,
    names,
  }: {
    readonly table: 'cluster' | 'network' | 'gateway' | 'control_plane'
    readonly names: readonly string[]
  },
): Promise<Map<string, string>> {
  if (names.length === 0) return new Map()
  const rows = await db
    .selectFrom(table)
    .select(['name', 'created_at'])
    .where('mesh_id', '=', meshId)
    .where('name', 'in', [...names])
    .execute()
  return new Map(rows.map((row) => [row.name, row.created_at.toISOString()]))
}

/** Deletes the links and gateways of a mesh that is about to be deleted, whatever order its rows then go in. */
export async function clearTopology(trx: Db, meshId: MeshId): Promise<void> {
  for (const table of ['gateway', 'cluster_network', 'cluster_control_plane'] as const) {
    await trx.deleteFrom(table).where('mesh_id', '=', meshId).execute()
  }
}
