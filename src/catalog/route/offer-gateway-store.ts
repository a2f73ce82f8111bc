import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type OfferGateway } from '../endpoint.ts'
import { type ServiceName } from '../service.ts'

/** Gateways that a peer named for a service that it offers; none when there is no such offer. */
export async function listOfferGateways(
  db: Db,
  meshId: MeshId,
  { relationship, namespace, name }: ServiceName & { readonly relationship: string },
): Promise<readonly OfferGateway[]> {
  const row = await db
    .selectFrom('offer')
    .innerJoin('relationship', (join) =>
      join
        .onRef('relationship.mesh_id', '=', 'offer.mesh_id')
        .onRef('relationship.id', '=', 'offer.relationship_id'),
    )
    .select('offer.gateways')
    .where('offer.mesh_id', '=', meshId)
    .where('relationship.name', '=', relationship)
    .where('offer.namespace', '=', namespace)
    .where('offer.name', '=', name)
    .executeTakeFirst()
  return (row?.gateways ?? []) as readonly OfferGateway[]
}
