import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type PeerRevision, REVISION, revisionOf } from './revision-store.ts'

/** The bundle in use of one domain of an active relationship. */
export interface ActiveBundleRow extends PeerRevision {
  readonly relationship: string
  readonly relationshipId: string
  readonly trustDomain: TrustDomain
}

/** The bundles in use of all active relationships of a mesh with peers. */
export async function listActiveBundles(db: Db, meshId: MeshId): Promise<ActiveBundleRow[]> {
  const rows = await db
    .selectFrom('peer_bundle_revision as b')
    .innerJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'b.mesh_id').onRef('r.id', '=', 'b.relationship_id'),
    )
    .select(REVISION.map((column) => `b.${column}` as const))
    .select(['b.relationship_id', 'b.trust_domain', 'r.name'])
    .where('b.mesh_id', '=', meshId)
    .where('b.disposition', '=', 'current')
    .where('r.state', '=', 'active')
    .where('r.purpose', '=', 'peer')
    .execute()
  return rows.map((row) => ({
    ...revisionOf(row),
    relationship: row.name,
    relationshipId: row.relationship_id,
    trustDomain: row.trust_domain,
  }))
}
