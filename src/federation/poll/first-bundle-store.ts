import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'

/**
 * Pins the digest of the bundle in use of every domain that has none pinned yet; for an active relationship, whose
 * bundles count.
 */
export async function pinFirstBundles(
  trx: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<void> {
  await sql`
    update relationship_domain as d set first_digest = b.digest
    from peer_bundle_revision as b
    where d.mesh_id = ${meshId} and d.relationship_id = ${relationshipId} and d.first_digest is null
      and b.mesh_id = d.mesh_id and b.relationship_id = d.relationship_id
      and b.trust_domain = d.trust_domain and b.disposition = 'current'`.execute(trx)
}
