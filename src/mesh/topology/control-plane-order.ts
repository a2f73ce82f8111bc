import { quoted, ServiceError } from '../../errors.ts'
import {
  isHeard,
  type Locality,
  localityIn,
  type Topology,
  type TopologyCluster,
  type TopologyControlPlane,
} from './topology.ts'

/** How a control plane stands, the best first: the order in which a cluster tries them. */
export const STANDINGS = ['available', 'draining', 'gone', 'disabled'] as const

/** One of {@link STANDINGS}. */
export type Standing = (typeof STANDINGS)[number]

/** A control plane in the order of one cluster. */
export interface OrderedControlPlane {
  readonly name: string
  readonly address: string | undefined
  readonly standing: Standing
  /** Its rank as the operator gave it; 1 comes first. */
  readonly rank: number
  readonly reason: string
}

/**
 * The control planes that a cluster uses, in the order in which its proxies should try them.
 *
 * The rank is the operator's word and decides among those that stand equally: available ones first, then draining
 * ones, then those that are heard no more (their last heartbeat may only have been lost), disabled ones last. Where a
 * control plane is does not change its place; the reason tells it. Throws NOT_FOUND for an unknown cluster.
 */
export function orderedControlPlanes(
  topology: Topology,
  cluster: string,
  now: Date,
): readonly OrderedControlPlane[] {
  const of = topology.clusters.get(cluster)
  if (of === undefined) {
    throw new ServiceError('NOT_FOUND', `the mesh has no cluster ${quoted(cluster)}`, {
      next: 'entente cluster list',
    })
  }
  return of.controlPlanes
    .flatMap((name, index) => {
      const plane = topology.controlPlanes.get(name)
      return plane === undefined ? [] : [placeOf(plane, { topology, of, rank: index + 1, now })]
    })
    .toSorted(
      (one, other) =>
        STANDINGS.indexOf(one.standing) - STANDINGS.indexOf(other.standing) ||
        one.rank - other.rank,
    )
}

interface Placing {
  readonly topology: Topology
  readonly of: TopologyCluster
  readonly rank: number
  readonly now: Date
}

function placeOf(plane: TopologyControlPlane, placing: Placing): OrderedControlPlane {
  const { topology, of, rank } = placing
  const host = plane.cluster === undefined ? undefined : topology.clusters.get(plane.cluster)
  const { standing, why } = standingOf(plane, host, placing.now)
  const near =
    plane.cluster === of.name
      ? 'in this cluster'
      : nearness(of.locality, localityIn(topology, plane))
  const reason = `rank ${rank}, ${why}, ${near}`
  return { name: plane.name, address: plane.address, standing, rank, reason }
}

function standingOf(
  plane: TopologyControlPlane,
  host: TopologyCluster | undefined,
  now: Date,
): { readonly standing: Standing; readonly why: string } {
  if (plane.state === 'disabled') return { standing: 'disabled', why: 'disabled' }
  if (host?.state === 'disabled') {
    return { standing: 'disabled', why: `its cluster ${host.name} is disabled` }
  }
  if (!isHeard(plane, now)) return { standing: 'gone', why: silence(plane) }
  if (plane.state === 'draining') return { standing: 'draining', why: 'draining' }
  if (host?.state === 'draining') {
    return { standing: 'draining', why: `its cluster ${host.name} is draining` }
  }
  const isUnheard = plane.heartbeatSeconds === undefined
  return {
    standing: 'available',
    why: isUnheard ? 'active (promises no heartbeat)' : 'active and heard',
  }
}

function silence({ seenAt, heartbeatSeconds }: TopologyControlPlane): string {
  if (seenAt === undefined) return 'never heard'
  return `last heard ${seenAt.toISOString()} although it promised every ${heartbeatSeconds ?? 0} s`
}

function nearness(here: Locality, there: Locality): string {
  if (here.region === undefined || there.region === undefined) return 'distance not known'
  if (here.region !== there.region) return `in another region (${there.region})`
  if (here.zone === undefined || there.zone === undefined) return `in the same region`
  return here.zone === there.zone
    ? 'in the same zone'
    : `in another zone of the region (${there.zone})`
}
