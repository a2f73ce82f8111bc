import { offersOf, servicesOf } from '../catalog/find-services.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { relationshipsOf } from '../federation/find-relationship.ts'
import { loadMesh, trustDomainsOf } from '../mesh/find-mesh.ts'
import { buildSnapshot, type Snapshot } from './snapshot.ts'
import { listRules, readRevisions } from './store.ts'

/**
 * Loads everything that decisions of a mesh depend on; throws NOT_FOUND.
 *
 * `db` must be a transaction that sees one state (repeatable read), or one whose own changes are to count.
 */
export async function loadSnapshot(db: Db, meshId: MeshId): Promise<Snapshot> {
  const revisions = await readRevisions(db, meshId)
  const mesh = await loadMesh(db, meshId)
  const domains = await trustDomainsOf(db, meshId)
  const services = await servicesOf(db, meshId)
  const offers = await offersOf(db, meshId)
  return buildSnapshot({
    meshId,
    revisions,
    dnsSuffix: mesh.dnsSuffix,
    trustDomains: domains.map((domain) => domain.name),
    services: services.map((service) => ({ ...service, serverIds: service.identities })),
    relationships: await relationshipsOf(db, meshId),
    offers: offers.map((offer) => ({ ...offer, serverIds: offer.identities })),
    rules: await listRules(db, meshId, {}),
  })
}
