import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type Topology } from '../../mesh/topology/topology.ts'
import { endpointsOf } from '../find-endpoints.ts'
import { listOfferGateways } from './offer-gateway-store.ts'
import { routeToPeer } from './peer-route.ts'
import { routeTo } from './route-to.ts'
import { type Consumer, type Route, type RoutedService } from './route.ts'
import { type Sharer, sharedEndpoints } from './shared-endpoints.ts'

/** Whereto a route is wanted, for whom, and in which shape of the mesh. */
export interface RouteWanted {
  readonly service: RoutedService
  /** The relationship whose service it is; undefined = ours. */
  readonly of: string | undefined
  /** The mesh here that has the peer's service and shares a network with us; undefined = only gateways lead to it. */
  readonly sharer?: Sharer | undefined
  readonly consumer: Consumer
  readonly topology: Topology
  /** What is stale or was not heard is judged by this moment. */
  readonly now: Date
}

/** How a consumer of a mesh reaches a service of it or of a peer, by what is reported now. */
export async function findRoute(db: Db, meshId: MeshId, wanted: RouteWanted): Promise<Route> {
  const { service, of, sharer, consumer, topology, now } = wanted
  if (of === undefined) {
    const endpoints = await endpointsOf(db, meshId, service)
    return routeTo({ topology, service, endpoints, consumer, now })
  }
  const { namespace, name } = service
  const gateways = await listOfferGateways(db, meshId, { relationship: of, namespace, name })
  const shared = sharer && (await sharedEndpoints(db, sharer, wanted))
  return routeToPeer({ relationship: of, service, gateways, shared, consumer })
}
