import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import { type KeptCluster, listClusters } from './cluster-store.ts'
import { type KeptControlPlane, listControlPlanes } from './control-plane-store.ts'
import { type KeptGateway, listGateways } from './gateway-store.ts'
import { type KeptNetwork, listNetworks } from './network-store.ts'
import { localityIn, type Topology } from './topology.ts'

/** The topology of a mesh with versions and moments of its objects. */
export interface KeptTopology extends Topology {
  readonly clusters: ReadonlyMap<string, KeptCluster>
  readonly networks: ReadonlyMap<string, KeptNetwork>
  readonly gateways: readonly KeptGateway[]
  readonly controlPlanes: ReadonlyMap<string, KeptControlPlane>
}

/**
 * The shape of a mesh as its rows have it now, heartbeats included: six statements, none of them per object.
 *
 * A mesh that does not exist has an empty one.
 */
export async function loadTopology(db: Db, meshId: MeshId): Promise<KeptTopology> {
  const clusters = await listClusters(db, meshId)
  const networks = await listNetworks(db, meshId)
  const gateways = await listGateways(db, meshId)
  const controlPlanes = await listControlPlanes(db, meshId)
  const placed = { clusters: byName(clusters) }
  return {
    ...placed,
    networks: byName(networks),
    gateways: gateways.map((one) => ({ ...one, locality: localityIn(placed, one) })),
    controlPlanes: byName(
      controlPlanes.map((one) => ({ ...one, locality: localityIn(placed, one) })),
    ),
  }
}

function byName<T extends { readonly name: string }>(items: readonly T[]): Map<string, T> {
  return new Map(items.map((item) => [item.name, item]))
}
