import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'

/** The meshes to which some active peer offers something. */
export async function listOfferedMeshes(db: Db): Promise<{ readonly meshId: MeshId }[]> {
  const rows = await db
    .selectFrom('offer as o')
    .innerJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'o.mesh_id').onRef('r.id', '=', 'o.relationship_id'),
    )
    .select('o.mesh_id')
    .distinct()
    .where('r.state', '=', 'active')
    .orderBy('o.mesh_id')
    .execute()
  return rows.map((row) => ({ meshId: row.mesh_id }))
}
