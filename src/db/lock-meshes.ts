import type { MeshId } from './ids.ts'
import type { Db } from './schema.ts'

/**
 * Holds the rows of meshes until the transaction ends, in the order of their ids, and answers which of them there are:
 * of two transactions that hold a mesh one comes after the other. Rows that only refer to a mesh can still be written
 * meanwhile.
 */
export async function lockMeshes(
  trx: Db,
  meshIds: readonly MeshId[],
): Promise<ReadonlySet<MeshId>> {
  const rows = await trx
    .selectFrom('mesh')
    .select('mesh_id')
    .where('mesh_id', 'in', meshIds)
    .orderBy('mesh_id')
    .forNoKeyUpdate()
    .execute()
  return new Set(rows.map((row) => row.mesh_id))
}
