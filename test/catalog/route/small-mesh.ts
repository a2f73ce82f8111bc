import { type RoutedEndpoint, type RoutedService } from '../../../src/catalog/route/route.ts'
import {
  type Topology,
  type TopologyCluster,
  type TopologyGateway,
  type TopologyNetwork,
} from '../../../src/mesh/topology/topology.ts'

/** The moment at which all of these tests ask. */
export const NOW = new Date('2026-11-23T12:00:00Z')

/** A service with two ports. */
export const CART: RoutedService = {
  namespace: 'shop',
  name: 'cart',
  ports: [
    { name: 'http', port: 80 },
    { name: 'grpc', port: 9000 },
  ],
}

/** What differs from a mesh without gateways. */
export interface Parts {
  readonly clusters: readonly (Partial<TopologyCluster> & { readonly name: string })[]
  readonly networks: readonly (Partial<TopologyNetwork> & { readonly name: string })[]
  readonly gateways?: readonly (Partial<TopologyGateway> & {
    readonly name: string
    readonly network: string
  })[]
}

/** A topology from what matters in a test. */
export function topologyOf({ clusters, networks, gateways = [] }: Parts): Topology {
  return {
    clusters: new Map(clusters.map((one) => [one.name, clusterOf(one)])),
    networks: new Map(
      networks.map((one) => [
        one.name,
        { sharedName: undefined, isDirectlyReachable: true, ...one },
      ]),
    ),
    gateways: gateways.map((one, index) => gatewayOf(one, index)),
    controlPlanes: new Map(),
  }
}

/** An endpoint of the port `http`, alive for another minute. */
export function endpointOf(
  some: Partial<RoutedEndpoint> & { readonly cluster: string; readonly network: string },
): RoutedEndpoint {
  return {
    workloadUid: 'pod-1',
    address: '10.0.0.5',
    port: 8080,
    portName: 'http',
    locality: {},
    weight: 1,
    isHealthy: true,
    freshUntil: new Date(NOW.getTime() + 60_000),
    ...some,
  }
}

function clusterOf(one: Parts['clusters'][number]): TopologyCluster {
  return { role: 'primary', state: 'active', locality: {}, networks: [], controlPlanes: [], ...one }
}

function gatewayOf(one: NonNullable<Parts['gateways']>[number], index: number): TopologyGateway {
  return {
    cluster: undefined,
    address: `203.0.113.${index + 1}`,
    port: 15_443,
    locality: {},
    sniMode: 'auto-passthrough',
    weight: 1,
    state: 'active',
    heartbeatSeconds: undefined,
    seenAt: undefined,
    ...one,
  }
}
