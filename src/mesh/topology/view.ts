import type { ControlPlaneView, GatewayView, NetworkView } from './api.ts'
import type { ClusterView } from './cluster-api.ts'
import type { KeptCluster } from './cluster-store.ts'
import { orderedControlPlanes } from './control-plane-order.ts'
import type { KeptControlPlane } from './control-plane-store.ts'
import type { KeptGateway } from './gateway-store.ts'
import type { KeptNetwork } from './network-store.ts'
import { type Heard, isHeard, type Topology } from './topology.ts'

/** A cluster as the API shows it, in the topology that it is part of. */
export function viewCluster(cluster: KeptCluster, topology: Topology, now: Date): ClusterView {
  const order = orderedControlPlanes(topology, cluster.name, now)
  return {
    name: cluster.name,
    role: cluster.role,
    state: cluster.state,
    issuing: cluster.issuing,
    locality: cluster.locality,
    networks: [...cluster.networks],
    controlPlanes: [...cluster.controlPlanes],
    controlPlaneOrder: order.map((plane) => ({ ...plane, address: plane.address ?? null })),
    ...versionOf(cluster),
  }
}

/** A control plane as the API shows it. */
export function viewControlPlane(plane: KeptControlPlane, now: Date): ControlPlaneView {
  return {
    name: plane.name,
    type: plane.type,
    cluster: plane.cluster ?? null,
    address: plane.address ?? null,
    locality: plane.locality,
    state: plane.state,
    ...viewHeard(plane, now),
    ...versionOf(plane),
  }
}

/** A network as the API shows it. */
export function viewNetwork(network: KeptNetwork): NetworkView {
  return {
    name: network.name,
    sharedName: network.sharedName ?? null,
    directlyReachable: network.isDirectlyReachable,
    ...versionOf(network),
  }
}

/** A gateway as the API shows it. */
export function viewGateway(gateway: KeptGateway, now: Date): GatewayView {
  return {
    name: gateway.name,
    network: gateway.network,
    cluster: gateway.cluster ?? null,
    address: gateway.address,
    port: gateway.port,
    locality: gateway.locality,
    sniMode: gateway.sniMode,
    weight: gateway.weight,
    state: gateway.state,
    ...viewHeard(gateway, now),
    ...versionOf(gateway),
  }
}

/** A page of what is kept by name; `cursor` is the key of the last name shown before. */
export function pageByName<T extends { readonly name: string }>(
  items: Iterable<T>,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): T[] {
  return [...items]
    .filter(({ name }) => after === undefined || name > after)
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .slice(0, limit)
}

function viewHeard(heard: Heard, now: Date) {
  return {
    heartbeatSeconds: heard.heartbeatSeconds ?? null,
    seenAt: heard.seenAt?.toISOString() ?? null,
    isHeard: isHeard(heard, now),
  }
}

function versionOf({ version, createdAt }: { readonly version: bigint; readonly createdAt: Date }) {
  return { version: version.toString(), createdAt: createdAt.toISOString() }
}
