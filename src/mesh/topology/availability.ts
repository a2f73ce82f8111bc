import { localityTitle } from './locality.ts'
import {
  isHeard,
  type Locality,
  localityIn,
  type Topology,
  type TopologyCluster,
  type TopologyControlPlane,
} from './topology.ts'

/** The ranks of control plane placement, by tier; Istio's deployment models page names them in this order. */
export const TIERS = [
  'not every region has a living control plane',
  'one control plane per region',
  'several control planes per region',
  'one control plane per zone',
  'several control planes per zone',
  'each cluster has its own control plane',
] as const

/** Most lines that tell what would raise a tier. */
const MOST_RAISES = 20

/** How available the control planes of a mesh are. */
export interface Availability {
  /** 1 to 5 as in {@link TIERS}; 0 = below the lowest of them. */
  readonly tier: 0 | 1 | 2 | 3 | 4 | 5
  readonly reason: string
  /** What would raise the tier by one, in words; empty at the top. */
  readonly raise: readonly string[]
}

/**
 * The availability tier of a mesh: where its living control planes are, relative to where its clusters are.
 *
 * Only active control planes in active clusters that are heard count, and only clusters that are not disabled need
 * one. Each tier needs all tiers below it: in a region of one zone, one control plane per zone is still one per region.
 * A place is served several times when two control planes are there, or when every cluster there has its own. Clusters
 * and control planes of unknown locality count as one region of their own, so that nothing is claimed that nobody said.
 */
export function availabilityOf(topology: Topology, now: Date): Availability {
  const situation = situationOf(topology, now)
  if (situation.clusters.length === 0) {
    return { tier: 0, reason: 'the mesh has no enabled cluster', raise: ['add a cluster'] }
  }
  if (situation.living.length === 0) return nothingLives(situation)
  const faults = [regionFaults, manyRegionFaults, zoneFaults, manyZoneFaults, clusterFaults]
  for (const [tier, find] of faults.entries()) {
    const raise = find(situation)
    if (raise.length > 0) return found(tier as Availability['tier'], situation, raise)
  }
  return found(5, situation, [])
}

interface Site {
  readonly name: string
  readonly locality: Locality
}

interface Host extends Site {
  /** The cluster that it runs in. */
  readonly cluster: string | undefined
}

interface Situation {
  readonly clusters: readonly Site[]
  readonly living: readonly Host[]
  /** Why control planes do not count, in words. */
  readonly missing: readonly string[]
}

function situationOf(topology: Topology, now: Date): Situation {
  const { clusters, controlPlanes } = topology
  const enabled = [...clusters.values()].filter(({ state }) => state !== 'disabled')
  const living: Host[] = []
  const missing: string[] = []
  for (const plane of controlPlanes.values()) {
    const host = plane.cluster === undefined ? undefined : clusters.get(plane.cluster)
    const why = whyNotLiving(plane, host, now)
    const locality = localityIn(topology, plane)
    if (why === undefined) living.push({ name: plane.name, locality, cluster: plane.cluster })
    else missing.push(`control plane ${plane.name} (${localityTitle(locality)}) ${why}`)
  }
  return { clusters: enabled, living, missing }
}

function whyNotLiving(
  plane: TopologyControlPlane,
  host: TopologyCluster | undefined,
  now: Date,
): string | undefined {
  if (plane.state !== 'active') return `is ${plane.state}`
  if (host !== undefined && host.state !== 'active') {
    return `runs in cluster ${host.name}, which is ${host.state}`
  }
  if (isHeard(plane, now)) return undefined
  const { seenAt } = plane
  return seenAt === undefined ? 'was never heard' : `was last heard ${seenAt.toISOString()}`
}

function nothingLives({ missing }: Situation): Availability {
  const reason = 'no control plane lives'
  const raise = missing.length === 0 ? ['add a control plane'] : bounded(missing)
  return {
    tier: 0,
    reason: missing.length === 0 ? reason : `${reason}: ${raise.join('; ')}`,
    raise,
  }
}

function found(
  tier: Availability['tier'],
  { living, missing, clusters }: Situation,
  raise: readonly string[],
): Availability {
  const planes = living.map(({ name, locality }) => `${name} (${localityTitle(locality)})`)
  const alive = `${planes.slice(0, 5).join(', ')}${planes.length > 5 ? ' and others' : ''}`
  const lost = missing.length === 0 ? '' : `; not counted: ${bounded(missing).join('; ')}`
  const unknown = clusters.filter(({ locality }) => locality.region === undefined)
  const blur =
    unknown.length > 0 && clusters.length > 1
      ? `; without a known region, and so counted as one place: ${unknown.map(({ name }) => name).join(', ')}`
      : ''
  return {
    tier,
    reason: `${TIERS[tier]}: ${alive} live${living.length === 1 ? 's' : ''}${blur}${lost}`,
    raise: bounded(raise),
  }
}

type KeyOf = (locality: Locality) => string | undefined
const UNKNOWN = ''
const regionOf: KeyOf = ({ region }) => region ?? UNKNOWN
const zoneOf: KeyOf = ({ region, zone }) =>
  region === undefined || zone === undefined ? undefined : `${region}/${zone}`

function regionFaults(situation: Situation): string[] {
  return placesWith(situation, regionOf, 1).map((key) => `a control plane in ${regionTitle(key)}`)
}

function manyRegionFaults(situation: Situation): string[] {
  return placesWith(situation, regionOf, 2).map(
    (key) => `a second control plane in ${regionTitle(key)}`,
  )
}

// A cluster with its own control plane has one as near as can be, wherever it is.
function zoneFaults(situation: Situation): string[] {
  const own = new Set(situation.living.map(({ cluster }) => cluster))
  const unknown = situation.clusters
    .filter(({ name, locality }) => zoneOf(locality) === undefined && !own.has(name))
    .map(({ name }) => `the zone of cluster ${name}, which is not known`)
  const without = placesWith(situation, zoneOf, 1).map((key) => `a control plane in zone ${key}`)
  return [...unknown, ...without]
}

function manyZoneFaults(situation: Situation): string[] {
  return placesWith(situation, zoneOf, 2).map((key) => `a second control plane in zone ${key}`)
}

function clusterFaults({ clusters, living }: Situation): string[] {
  const own = new Set(living.map(({ cluster }) => cluster))
  return clusters
    .filter(({ name }) => !own.has(name))
    .map(({ name }) => `a control plane of its own in cluster ${name}`)
}

/** The places of the mesh's clusters that fewer than `wanted` control planes serve, and not each cluster its own. */
function placesWith(situation: Situation, keyOf: KeyOf, wanted: 1 | 2): string[] {
  const clusters = Map.groupBy(situation.clusters, ({ locality }) => keyOf(locality))
  const living = Map.groupBy(situation.living, ({ locality }) => keyOf(locality))
  return [...clusters].flatMap(([key, here]) => {
    if (key === undefined) return []
    const planes = living.get(key) ?? []
    const isEachOwn = clusterFaults({ ...situation, clusters: here }).length === 0
    return isEachOwn || planes.length >= wanted ? [] : [key]
  })
}

function regionTitle(key: string): string {
  return key === UNKNOWN ? 'the place of the clusters whose region is not known' : `region ${key}`
}

function bounded(lines: readonly string[]): string[] {
  if (lines.length <= MOST_RAISES) return [...lines]
  return [...lines.slice(0, MOST_RAISES), `and ${lines.length - MOST_RAISES} more`]
}
