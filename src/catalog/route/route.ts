import { type Locality } from '../../mesh/topology/topology.ts'
import { type ReportedEndpoint } from '../endpoint.ts'
import { type Port, type ServiceName } from '../service.ts'

/** Most targets of one group; what is beyond is left out and the group says so. */
export const MAX_TARGETS = 1000

/** Why targets stand together, nearest first; the last is only for when nothing else answers. */
export const TIERS = ['same-subzone', 'same-zone', 'same-region', 'rest', 'last'] as const
/** One of {@link TIERS}. */
export type Tier = (typeof TIERS)[number]

/** Who wants to reach a service: always in one network, perhaps in a known cluster and place. */
export interface Consumer {
  readonly network: string
  readonly cluster: string | undefined
  readonly locality: Locality
}

/** A service as routes see it: its name and those of its ports that are asked about. */
export interface RoutedService extends ServiceName {
  readonly ports: readonly Port[]
}

/** What a route needs to know of an endpoint; who reported it has no say. */
export type RoutedEndpoint = Omit<ReportedEndpoint, 'reporter' | 'namespace' | 'service'>

/** One way to a port of a service: an address of its own, or a gateway in front of it. */
export interface RouteTarget {
  readonly address: string
  readonly port: number
  /** The port of the service that is reached there. */
  readonly portName: string
  /** The gateway; a peer's has no name and is written `address:port`. Undefined for an address of the service. */
  readonly viaGateway: string | undefined
  /** What TLS must name so that the gateway knows whereto; only with a gateway. */
  readonly sni: string | undefined
  /** Undefined for a peer's gateway, whose networks are the peer's affair. */
  readonly network: string | undefined
  /** The cluster of the endpoint, or the one that runs the gateway; undefined for a peer's. */
  readonly cluster: string | undefined
  readonly locality: Locality
  /** At least 1; only to be compared with other weights for the same port in the same answer. */
  readonly weight: number
}

/** Targets that are equally good, and why. */
export interface RouteGroup {
  /** 1 is to be tried first. */
  readonly tier: number
  readonly kind: Tier
  readonly why: string
  readonly targets: readonly RouteTarget[]
  /** Whether there are more than {@link MAX_TARGETS}. */
  readonly truncated: boolean
}

/** Living endpoints that the consumer cannot reach, and why. */
export interface Unreached {
  readonly network: string
  readonly endpoints: number
  readonly reason: string
  /** Names of the gateways that would lead there if they were heard. */
  readonly silent: readonly string[]
}

/** How a consumer reaches a service: by groups in order, or not at all for a reason. */
export interface Route {
  /** Why there is no way; undefined exactly when there is a group. */
  readonly noRoute: string | undefined
  readonly groups: readonly RouteGroup[]
  /** What cannot be reached, also beside groups. */
  readonly unreached: readonly Unreached[]
}

/** Orders texts by their code units, the same on every machine. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
