import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'

/**
 * The other mesh of this service that an active relationship reads here and that shares a network with ours.
 *
 * Undefined where there is none, or where the relationship stands for several: whose addresses they would be is not
 * guessed.
 */
export async function findSharingMesh(
  db: Db,
  meshId: MeshId,
  relationship: string,
): Promise<MeshId | undefined> {
  const rows = await db
    .selectFrom('relationship as r')
    .innerJoin('relationship_domain as d', (join) =>
      join.onRef('d.mesh_id', '=', 'r.mesh_id').onRef('d.relationship_id', '=', 'r.id'),
    )
    .innerJoin('trust_domain as t', 't.name', 'd.trust_domain')
    .innerJoin('network as ours', 'ours.mesh_id', 'r.mesh_id')
    .innerJoin('network as theirs', (join) =>
      join
        .onRef('theirs.mesh_id', '=', 't.mesh_id')
        .onRef('theirs.shared_name', '=', 'ours.shared_name'),
    )
    .select('t.mesh_id')
    .distinct()
    .where('r.mesh_id', '=', meshId)
    .where('r.name', '=', relationship)
    .where('r.purpose', '=', 'peer')
    .where('r.state', '=', 'active')
    .where('d.source', '=', 'local')
    .where('t.mesh_id', '<>', meshId)
    .execute()
  const [only, another] = rows
  return another === undefined ? only?.mesh_id : undefined
}
