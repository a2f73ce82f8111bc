import { type Topology } from '../../mesh/topology/topology.ts'
import { compareText, type RoutedEndpoint, type RoutedService } from './route.ts'

/** What decides whether an endpoint counts. */
export interface Scene {
  readonly topology: Topology
  readonly service: RoutedService
  readonly now: Date
}

/** Why an endpoint does not count. */
type Fault =
  'stale' | 'unhealthy' | 'in a disabled cluster' | 'in a cluster or network that is gone'

/** The endpoints that count, and why there are none if there are none. */
export interface Living {
  readonly endpoints: readonly RoutedEndpoint[]
  readonly whyNone: string
}

/**
 * Leaves out what is stale, unhealthy or in a disabled cluster, and what is for ports that are not asked about.
 *
 * An address is one place only together with its cluster and network, so the same IP in two networks stays two.
 * What two reporters of a cluster both tell of counts once, as the fresher report has it.
 */
export function livingEndpoints(endpoints: readonly RoutedEndpoint[], scene: Scene): Living {
  const ports = new Set(scene.service.ports.map(({ name }) => name))
  const asked = endpoints.filter(({ portName }) => ports.has(portName))
  const faults = new Map<Fault, number>()
  const living = asked.filter((endpoint) => {
    const fault = faultOf(endpoint, scene)
    if (fault !== undefined) faults.set(fault, (faults.get(fault) ?? 0) + 1)
    return fault === undefined
  })
  return { endpoints: eachOnce(living), whyNone: whyNone(scene.service, faults) }
}

function faultOf(endpoint: RoutedEndpoint, { topology, now }: Scene): Fault | undefined {
  const cluster = topology.clusters.get(endpoint.cluster)
  if (cluster === undefined || !topology.networks.has(endpoint.network)) {
    return 'in a cluster or network that is gone'
  }
  if (cluster.state === 'disabled') return 'in a disabled cluster'
  if (now > endpoint.freshUntil) return 'stale'
  return endpoint.isHealthy ? undefined : 'unhealthy'
}

function whyNone(service: RoutedService, faults: ReadonlyMap<Fault, number>): string {
  const { namespace, name, ports } = service
  const of = `${namespace}/${name}, port ${ports.map((port) => port.name).join(' or ')}`
  if (faults.size === 0) return `no cluster reports an endpoint of ${of}`
  const counts = [...faults].toSorted(([a], [b]) => compareText(a, b))
  return `no endpoint of ${of} is alive: ${counts.map(([fault, count]) => `${count} ${fault}`).join(', ')}`
}

function eachOnce(endpoints: readonly RoutedEndpoint[]): RoutedEndpoint[] {
  const byPlace = new Map<string, RoutedEndpoint>()
  for (const endpoint of endpoints) {
    const { cluster, network, address, port, portName } = endpoint
    const place = JSON.stringify([cluster, network, address, port, portName])
    const known = byPlace.get(place)
    if (known === undefined || isPreferred(endpoint, known)) byPlace.set(place, endpoint)
  }
  return [...byPlace.values()]
}

// Total, so that the order of reports has no say.
function isPreferred(a: RoutedEndpoint, b: RoutedEndpoint): boolean {
  const fresher = a.freshUntil.getTime() - b.freshUntil.getTime()
  if (fresher !== 0) return fresher > 0
  return compareText(textOf(a), textOf(b)) < 0
}

function textOf({ workloadUid, weight, locality }: RoutedEndpoint): string {
  const { region, zone, subzone } = locality
  return JSON.stringify([workloadUid, weight, region, zone, subzone])
}
