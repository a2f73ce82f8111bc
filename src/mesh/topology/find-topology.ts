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
 * The shape of a mesh as people wrote it, heartbeats included: six statements, none of them per object.
 *
 * A mesh that does not exist has an empty one.
 */
export async function loadKeptTopology(db: Db, meshId: MeshId): Promise<KeptTopology> {
  const clusters = await listClusters(db, meshId)
  const networks = await listNetworks(db, meshId)
  const gateways = await listGateways(db, meshId)
  const controlPlanes = await listControlPlanes(db, meshId)
  return {
    clusters: byName(clusters),
    networks: byName(networks),
    gateways,
    controlPlanes: byName(controlPlanes),
  }
}

/** The shape of a mesh as decisions see it: what has no locality of its own has that of the cluster it runs in. */
export async function loadTopology(db: Db, meshId: MeshId): Promise<KeptTopology> {
  const kept = await loadKeptTopology(db, meshId)
  const place = <T extends KeptGateway | KeptControlPlane>(one: T): T => ({
    ...one,
    locality: localityIn(kept, one),
  })
  return {
    ...kept,
    gateways: kept.gateways.map(place),
    controlPlanes: byName([...kept.controlPlanes.values()].map(place)),
  }
}

function byName<T extends { readonly name: string }>(items: readonly T[]): Map<string, T> {
  return new Map(items.map((item) => [item.name, item]))
}
