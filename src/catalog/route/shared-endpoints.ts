import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { loadTopology } from '../../mesh/topology/find-topology.ts'
import { type Topology } from '../../mesh/topology/topology.ts'
import { endpointsOf } from '../find-endpoints.ts'
import { livingEndpoints } from './living.ts'
import { type Consumer, type RoutedEndpoint, type RoutedService } from './route.ts'
import { findSharingMesh } from './sharing-mesh-store.ts'

/** A mesh of this service that shows us a service of its own. */
export interface Sharer {
  readonly meshId: MeshId
  /** Whether that mesh lets who asks use a port where it runs in this cluster. */
  readonly mayUse: (endpoint: Pick<RoutedEndpoint, 'portName' | 'cluster'>) => boolean
}

/** The mesh of this service that stands behind a relationship and shares a network with us; undefined without one. */
export function sharingMesh(
  db: Db,
  meshId: MeshId,
  relationship: string,
): Promise<MeshId | undefined> {
  return findSharingMesh(db, meshId, relationship)
}

/** Living endpoints of a peer's service in a network that both meshes share, named as the consumer's mesh names it. */
export interface SharedEndpoints {
  /** The shape of the peer's mesh. */
  readonly topology: Topology
  readonly endpoints: readonly RoutedEndpoint[]
}

/**
 * The endpoints of a peer's service that a consumer reaches by their addresses.
 *
 * Both meshes say that their network is the same one, by an equal shared name, and neither closes its addresses.
 * Whatever else the peer's mesh has stays its own affair.
 */
export async function sharedEndpoints(
  db: Db,
  sharer: Sharer,
  wanted: {
    readonly service: RoutedService
    readonly consumer: Consumer
    readonly topology: Topology
    readonly now: Date
  },
): Promise<SharedEndpoints | undefined> {
  const { service, consumer, now } = wanted
  const ours = wanted.topology.networks.get(consumer.network)
  if (ours?.sharedName === undefined || !ours.isDirectlyReachable) return undefined
  const topology = await loadTopology(db, sharer.meshId)
  const theirs = [...topology.networks.values()].find(
    ({ sharedName, isDirectlyReachable }) => sharedName === ours.sharedName && isDirectlyReachable,
  )
  if (theirs === undefined) return undefined
  const reported = await endpointsOf(db, sharer.meshId, service)
  const endpoints = livingEndpoints(reported, { topology, service, now })
    .endpoints.filter((one) => one.network === theirs.name && sharer.mayUse(one))
    .map((one) => ({ ...one, network: ours.name }))
  return { topology, endpoints }
}
