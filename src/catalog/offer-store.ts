import { type MeshId } from '../db/ids.ts'
import { type ServicePort } from '../db/schema-policy.ts'
import { type Db } from '../db/schema.ts'
import { type Offer, type OfferName, type Port, type ServiceName } from './service.ts'

/** The relationship of an offer: its lasting id, and the name that may change. */
export interface OfferPeer {
  readonly id: string
  readonly name: string
}

/** Stores a new offer; throws a unique violation when that peer's service is on record already. */
export async function insertOffer(
  trx: Db,
  meshId: MeshId,
  { peer, offer }: { readonly peer: OfferPeer; readonly offer: Offer },
): Promise<void> {
  await trx
    .insertInto('offer')
    .values({
      mesh_id: meshId,
      relationship_id: peer.id,
      namespace: offer.namespace,
      name: offer.name,
      ports: JSON.stringify(offer.ports),
      server_ids: JSON.stringify(offer.identities),
      labels: JSON.stringify(offer.labels),
      gateways: JSON.stringify(offer.gateways),
      source: offer.source,
      created_at: offer.createdAt,
    })
    .execute()
}

/** Deletes an offer and answers with it, or undefined when there was none. */
export async function deleteOffer(
  trx: Db,
  meshId: MeshId,
  { peer, name }: { readonly peer: OfferPeer; readonly name: ServiceName },
): Promise<Offer | undefined> {
  const row = await trx
    .deleteFrom('offer')
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', peer.id)
    .where('namespace', '=', name.namespace)
    .where('name', '=', name.name)
    .returning([
      'namespace',
      'name',
      'ports',
      'server_ids',
      'labels',
      'gateways',
      'source',
      'created_at',
    ])
    .executeTakeFirst()
  return row === undefined ? undefined : offerOf({ ...row, relationship: peer.name })
}

/** Which part of a list is wanted. */
export interface OfferPage {
  readonly relationshipId?: string | undefined
  /** Just these, at least one. */
  readonly names?: readonly OfferName[] | undefined
  /** Namespace and name of the last one shown before. */
  readonly after?: readonly string[] | undefined
  readonly limit?: number | undefined
}

/** Offers of one relationship, or of all of a mesh, by namespace and name. */
export async function listOffers(db: Db, meshId: MeshId, page: OfferPage): Promise<Offer[]> {
  let query = db
    .selectFrom('offer')
    .innerJoin('relationship', (join) =>
      join
        .onRef('relationship.mesh_id', '=', 'offer.mesh_id')
        .onRef('relationship.id', '=', 'offer.relationship_id'),
    )
    .select([
      'relationship.name as relationship',
      'offer.namespace',
      'offer.name',
      'offer.ports',
      'offer.server_ids',
      'offer.labels',
      'offer.gateways',
      'offer.source',
      'offer.created_at',
    ])
    .where('offer.mesh_id', '=', meshId)
    .orderBy('offer.namespace')
    .orderBy('offer.name')
  const { relationshipId, names, after = [], limit } = page
  if (names !== undefined) {
    query = query.where((eb) =>
      eb(
        eb.refTuple('relationship.name', 'offer.namespace', 'offer.name'),
        'in',
        names.map((one) => eb.tuple(one.relationship, one.namespace, one.name)),
      ),
    )
  }
  if (relationshipId !== undefined)
    query = query.where('offer.relationship_id', '=', relationshipId)
  const [namespace, name] = after
  if (namespace !== undefined && name !== undefined) {
    query = query.where((eb) =>
      eb(eb.refTuple('offer.namespace', 'offer.name'), '>', eb.tuple(namespace, name)),
    )
  }
  if (limit !== undefined) query = query.limit(limit)
  return (await query.execute()).map(offerOf)
}

interface OfferRow {
  readonly relationship: string
  readonly namespace: string
  readonly name: string
  readonly ports: readonly ServicePort[]
  readonly server_ids: Offer['identities']
  readonly labels: Offer['labels']
  readonly gateways: readonly unknown[]
  readonly source: Offer['source']
  readonly created_at: Date
}

function offerOf(row: OfferRow): Offer {
  return {
    relationship: row.relationship,
    namespace: row.namespace,
    name: row.name,
    ports: row.ports as readonly Port[],
    identities: row.server_ids,
    labels: row.labels,
    gateways: row.gateways as Offer['gateways'],
    source: row.source,
    createdAt: row.created_at,
  }
}
