import { ownerScopeOf } from '../access/owner-scope.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type RelationshipDependants } from '../federation/end-relationship.ts'
import { type AppliedKind } from '../mesh/applied-object.ts'
import { type Dependant, type Dependants } from '../mesh/hooks.ts'
import { listOffers, type OfferPage } from './offer-store.ts'
import {
  type Offer,
  type OfferName,
  type Service,
  type ServiceName,
  serviceTitle,
} from './service.ts'
import { countServices, createdAt, listServices } from './store.ts'

/** Every service of a mesh, by namespace and name. */
export async function servicesOf(db: Db, meshId: MeshId): Promise<Service[]> {
  return listServices(db, meshId, {})
}

/** Those of the named services that a mesh has. */
export async function servicesNamed(
  db: Db,
  meshId: MeshId,
  names: readonly ServiceName[],
): Promise<Service[]> {
  return names.length === 0 ? [] : listServices(db, meshId, { names })
}

/** Those of the named offers that the peers of a mesh made to it. */
export async function offersNamed(
  db: Db,
  meshId: MeshId,
  names: readonly OfferName[],
): Promise<Offer[]> {
  return names.length === 0 ? [] : listOffers(db, meshId, { names })
}

/** Every offer that the peers of a mesh made to it, by namespace and name. */
export async function offersOf(db: Db, meshId: MeshId): Promise<Offer[]> {
  return listOffers(db, meshId, {})
}

/** One page of the offers of a mesh's peers, or of one of them. */
export async function offersPage(db: Db, meshId: MeshId, page: OfferPage): Promise<Offer[]> {
  return listOffers(db, meshId, page)
}

/** What of the catalogue would end with a mesh: its services, in one line. */
export const catalogDependants: Dependants = async (db, target): Promise<Dependant[]> => {
  const count = await countServices(db, target.meshId)
  if (count === 0) return []
  const name = count === 1 ? '1 service' : `${count} services`
  return [{ kind: 'service', name, effect: 'leaves the catalogue', blocks: false }]
}

/** What of the catalogue breaks when a relationship ends: the peer's services that are on record here. */
export const offersOfPeer: RelationshipDependants = async (db, target): Promise<Dependant[]> => {
  const { meshId, relationshipId, name } = target
  const offers = await listOffers(db, meshId, { relationshipId })
  return offers.map((offer) => ({
    kind: 'offer',
    name: serviceTitle(offer),
    effect: `a service of ${name} that nobody here may call any more`,
    blocks: false,
  }))
}

/** The kind `Service` of documents: services by title, told by the moment they were made. */
export const appliedServices: AppliedKind = {
  read: 'service.read',
  write: () => 'service.update',
  end: () => 'service.delete',
  scopeOf: ownerScopeOf,
  find: async (db, meshId, titles) => {
    const names = titles.map(nameIn)
    const moments = await createdAt(db, meshId, names)
    return [...moments].map(([title, moment]) => ({
      name: title,
      objectId: moment.toISOString(),
      within: [nameIn(title).namespace],
    }))
  },
}

function nameIn(title: string): ServiceName {
  const [namespace = '', name = ''] = title.split('/')
  return { namespace, name }
}
