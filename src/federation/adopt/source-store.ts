import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DomainKey } from '../peer-bundle/revision-store.ts'

/** A trust domain of ours and the relationship by which the authorities of its signing system are read. */
export interface SourceKey extends DomainKey {
  readonly meshId: MeshId
}

/** The sources of one mesh, or of all. */
export async function listSources(db: Db, meshId?: MeshId): Promise<SourceKey[]> {
  let query = db
    .selectFrom('relationship as r')
    .innerJoin('relationship_domain as d', (join) =>
      join.onRef('d.mesh_id', '=', 'r.mesh_id').onRef('d.relationship_id', '=', 'r.id'),
    )
    .select(['d.mesh_id', 'd.relationship_id', 'd.trust_domain'])
    .where('r.purpose', '=', 'source')
    .where('r.state', '!=', 'terminated')
  if (meshId !== undefined) query = query.where('r.mesh_id', '=', meshId)
  const rows = await query.execute()
  return rows.map((row) => ({
    meshId: row.mesh_id,
    relationshipId: row.relationship_id,
    trustDomain: row.trust_domain,
  }))
}
