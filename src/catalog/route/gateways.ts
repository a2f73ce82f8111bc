import { isHeard, type Topology, type TopologyGateway } from '../../mesh/topology/topology.ts'
import { compareText } from './route.ts'

/** Endpoints that the same gateways stand in front of: those of a network, or of one cluster in it. */
export interface PoolName {
  readonly network: string
  /** Set where the addresses of the network count in their own cluster only. */
  readonly cluster: string | undefined
}

/** The gateways of a pool that can be used, by name. */
export interface PoolGateways {
  readonly active: readonly TopologyGateway[]
  /** For when no active one answers. */
  readonly draining: readonly TopologyGateway[]
  /** Why there are none; undefined when there is one. */
  readonly lacking: string | undefined
  /** Names of those that promised to be heard and are not. */
  readonly silent: readonly string[]
}

type Standing = 'active' | 'draining' | 'disabled' | 'not heard'

/** Most gateways that a reason names. */
const MAX_NAMED = 5

/** The pool that an endpoint belongs to. */
export function poolOf(
  { networks }: Topology,
  endpoint: { readonly network: string; readonly cluster: string },
): PoolName {
  const isOpen = networks.get(endpoint.network)?.isDirectlyReachable === true
  return { network: endpoint.network, cluster: isOpen ? undefined : endpoint.cluster }
}

/**
 * The gateways in front of a pool: all of its network, or where addresses count in their own cluster only, those of
 * that cluster and those of none.
 *
 * One is gone when it promised to be heard and is not, or when it or its cluster is disabled; it drains when
 * either does.
 */
export function gatewaysOf(topology: Topology, pool: PoolName, now: Date): PoolGateways {
  const all = topology.gateways.filter(({ network }) => network === pool.network)
  const fitting = all.filter(({ cluster }) => serves(pool, cluster))
  const standings = fitting
    .toSorted((a, b) => compareText(a.name, b.name))
    .map((gateway) => ({ gateway, standing: standingOf(topology, gateway, now) }))
  const having = (wanted: Standing): TopologyGateway[] =>
    standings.flatMap(({ gateway, standing }) => (standing === wanted ? [gateway] : []))
  const active = having('active')
  const draining = having('draining')
  const silent = having('not heard').map(({ name }) => name)
  const usable = { active, draining, silent }
  if (active.length + draining.length > 0) return { ...usable, lacking: undefined }
  if (all.length === 0) return { ...usable, lacking: `network ${pool.network} has no gateway` }
  const gone = standings.map(({ gateway, standing }) => `${gateway.name} is ${standing}`)
  return { ...usable, lacking: whyNone(pool, gone) }
}

function serves(pool: PoolName, cluster: string | undefined): boolean {
  return pool.cluster === undefined || cluster === undefined || cluster === pool.cluster
}

function standingOf(topology: Topology, gateway: TopologyGateway, now: Date): Standing {
  const host = gateway.cluster === undefined ? undefined : topology.clusters.get(gateway.cluster)
  const states = [gateway.state, host?.state]
  if (states.includes('disabled')) return 'disabled'
  if (!isHeard(gateway, now)) return 'not heard'
  return states.includes('draining') ? 'draining' : 'active'
}

function whyNone({ network, cluster }: PoolName, gone: readonly string[]): string {
  const where =
    cluster === undefined ? `network ${network}` : `cluster ${cluster} in network ${network}`
  if (gone.length === 0) {
    return `${where} has no gateway, and addresses of this network count in their own cluster only`
  }
  const more = gone.length > MAX_NAMED ? ` and ${gone.length - MAX_NAMED} more` : ''
  return `no gateway of ${where} is alive: ${gone.slice(0, MAX_NAMED).join(', ')}${more}`
}
