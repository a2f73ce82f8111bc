import { localityIn, type Topology, type TopologyGateway } from '../../mesh/topology/topology.ts'
import { gatewaysOf, type PoolGateways, type PoolName, poolOf } from './gateways.ts'
import { groupsOf, type Way } from './groups.ts'
import { livingEndpoints } from './living.ts'
import { nearer, nearnessOfAddress, nearnessThroughGateway } from './nearness.ts'
import {
  compareText,
  type Consumer,
  type Route,
  type RoutedEndpoint,
  type RoutedService,
  type Tier,
  type Unreached,
} from './route.ts'
import { sniOf } from './sni.ts'

/** A question about ways to a service of this mesh. */
export interface RouteQuestion {
  readonly topology: Topology
  readonly service: RoutedService
  readonly endpoints: readonly RoutedEndpoint[]
  readonly consumer: Consumer
  readonly now: Date
}

/**
 * How a consumer reaches a service of its own mesh, which depends on the consumer's network.
 *
 * Endpoints of the consumer's network are given by their addresses, if the network lets them be used from other
 * clusters or they are in the consumer's own. All others are given by the gateways in front of them: one target per
 * gateway and port, whatever the number of endpoints, and never an address beside it for the same cluster and
 * network. Its weight is the weight of the endpoints behind it times the gateway's own share among the gateways in
 * front of them; the endpoints of draining clusters count only where there are no others behind. An answer has
 * groups, or says why not.
 */
export function routeTo(question: RouteQuestion): Route {
  const { endpoints, whyNone } = livingEndpoints(question.endpoints, question)
  if (endpoints.length === 0) return { noRoute: whyNone, groups: [], unreached: [] }
  const direct = endpoints.filter((endpoint) => isDirect(question, endpoint))
  const pools = poolsOf(
    question,
    endpoints.filter((endpoint) => !isDirect(question, endpoint)),
  )
  const ways = [
    ...direct.map((endpoint) => directWay(question, endpoint)),
    ...gatewayWays(question, pools),
  ]
  const unreached = unreachedOf(pools)
  const groups = groupsOf(ways, question.consumer)
  const reasons = new Set(unreached.map(({ reason }) => reason))
  return { noRoute: groups.length > 0 ? undefined : [...reasons].join('; '), groups, unreached }
}

function isDirect({ topology, consumer }: RouteQuestion, endpoint: RoutedEndpoint): boolean {
  if (endpoint.network !== consumer.network) return false
  if (endpoint.cluster === consumer.cluster) return true
  return topology.networks.get(endpoint.network)?.isDirectlyReachable === true
}

/** The way to an endpoint by its own address. */
export function directWay(
  question: Pick<RouteQuestion, 'topology' | 'consumer'>,
  endpoint: RoutedEndpoint,
): Way {
  const { address, port, portName, network, cluster, weight } = endpoint
  const locality = localityIn(question.topology, endpoint)
  return {
    target: {
      address,
      port,
      portName,
      viaGateway: undefined,
      sni: undefined,
      network,
      cluster,
      locality,
    },
    tier: isDraining(question.topology, endpoint)
      ? 'last'
      : nearnessOfAddress(question.consumer, locality),
    shares: [{ amount: weight, weight: 1, total: 1 }],
  }
}

/** What stands behind gateways for one port. */
interface Behind {
  active: number
  draining: number
  /** Of the active ones. */
  nearest: Tier
}

interface Pool {
  readonly name: PoolName
  readonly gateways: PoolGateways
  readonly byPort: Map<string, Behind>
  count: number
}

function poolsOf(question: RouteQuestion, endpoints: readonly RoutedEndpoint[]): Pool[] {
  const { topology, now } = question
  const pools = new Map<string, Pool>()
  for (const endpoint of endpoints) {
    const name = poolOf(topology, endpoint)
    const key = JSON.stringify([name.network, name.cluster])
    const known = pools.get(key)
    const pool = known ?? {
      name,
      gateways: gatewaysOf(topology, name, now),
      byPort: new Map(),
      count: 0,
    }
    if (known === undefined) pools.set(key, pool)
    pool.count += 1
    const before = pool.byPort.get(endpoint.portName) ?? { active: 0, draining: 0, nearest: 'rest' }
    pool.byPort.set(endpoint.portName, withEndpoint(question, before, endpoint))
  }
  return [...pools.values()]
}

function withEndpoint(question: RouteQuestion, before: Behind, endpoint: RoutedEndpoint): Behind {
  const { active, draining, nearest } = before
  const { topology, consumer } = question
  if (isDraining(topology, endpoint))
    return { active, draining: draining + endpoint.weight, nearest }
  const near = nearnessOfAddress(consumer, localityIn(topology, endpoint))
  return { active: active + endpoint.weight, draining, nearest: nearer(nearest, near) }
}

/** A gateway in front of a pool, among those that share its load. */
interface Front {
  readonly gateway: TopologyGateway
  readonly total: number
  readonly isBackup: boolean
}

/** Several pools may stand behind one gateway; it is one way all the same. */
function gatewayWays(question: RouteQuestion, pools: readonly Pool[]): Way[] {
  const ways = new Map<string, Way>()
  for (const { gateways, byPort } of pools) {
    for (const front of frontsOf(gateways)) {
      for (const [portName, behind] of byPort) {
        const way = gatewayWay(question, { front, portName, behind })
        const key = JSON.stringify([front.gateway.name, portName])
        const known = ways.get(key)
        ways.set(key, known === undefined ? way : joined(known, way))
      }
    }
  }
  return [...ways.values()]
}

function joined(a: Way, b: Way): Way {
  return { target: a.target, tier: nearer(a.tier, b.tier), shares: [...a.shares, ...b.shares] }
}

function frontsOf({ active, draining }: PoolGateways): Front[] {
  return [active, draining].flatMap((gateways) => {
    const total = gateways.reduce((sum, { weight }) => sum + weight, 0)
    return gateways.map((gateway) => ({ gateway, total, isBackup: gateways === draining }))
  })
}

function gatewayWay(
  question: RouteQuestion,
  { front, portName, behind }: { front: Front; portName: string; behind: Behind },
): Way {
  const { gateway, total, isBackup } = front
  const { address, port, name: viaGateway, network, cluster, weight } = gateway
  const { service, consumer, topology } = question
  const number = service.ports.find((one) => one.name === portName)?.port ?? 0
  const sni = sniOf(gateway.sniMode, service, number)
  const locality = localityIn(topology, gateway)
  const isLast = isBackup || behind.active === 0
  return {
    target: { address, port, portName, viaGateway, sni, network, cluster, locality },
    tier: isLast ? 'last' : nearnessThroughGateway(consumer, locality, behind.nearest),
    shares: [{ amount: behind.active === 0 ? behind.draining : behind.active, weight, total }],
  }
}

function isDraining({ clusters }: Topology, { cluster }: RoutedEndpoint): boolean {
  return clusters.get(cluster)?.state === 'draining'
}

/** What no gateway stands in front of, by network and reason. */
function unreachedOf(pools: readonly Pool[]): Unreached[] {
  const byReason = new Map<string, Unreached>()
  for (const { name, gateways, count } of pools) {
    if (gateways.lacking === undefined) continue
    const { network } = name
    const { lacking: reason, silent } = gateways
    const key = JSON.stringify([network, reason])
    const endpoints = (byReason.get(key)?.endpoints ?? 0) + count
    byReason.set(key, { network, endpoints, reason, silent })
  }
  return [...byReason.values()].toSorted(
    (a, b) => compareText(a.network, b.network) || compareText(a.reason, b.reason),
  )
}
