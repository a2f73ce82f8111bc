import { type FieldError, quoted, ServiceError } from '../../errors.ts'
import { type Locality, type Topology, type TopologyCluster } from '../../mesh/topology/topology.ts'
import { type Consumer } from './route.ts'

/** Who asks, as somebody says it; what is left out is worked out where there is but one answer. */
export interface ConsumerDraft {
  readonly network?: string | undefined
  readonly cluster?: string | undefined
  readonly region?: string | undefined
  readonly zone?: string | undefined
  readonly subzone?: string | undefined
}

/** Most names that a refusal lists. */
const MAX_LISTED = 10

/**
 * The consumer that a draft means.
 *
 * The network is the one named, else the only one of the cluster, else the only one of the mesh: what is reachable
 * depends on it, so it is never guessed. The place is the one named, else the cluster's. Throws INVALID_REQUEST,
 * which names what there is instead only to who may list it.
 */
export function readConsumer(
  topology: Topology,
  draft: ConsumerDraft,
  { hidesNames = false }: Hiding = {},
): Consumer {
  const cluster = findCluster(topology, draft.cluster, { hidesNames })
  const network = hidesNames
    ? findNetworkInSilence(topology, draft.network, cluster)
    : findNetwork(topology, draft.network, cluster)
  const locality = readLocality(draft) ?? cluster?.locality ?? {}
  return { network, cluster: cluster?.name, locality }
}

interface Hiding {
  readonly hidesNames?: boolean | undefined
}

function findCluster(
  { clusters }: Topology,
  name: string | undefined,
  { hidesNames }: Hiding,
): TopologyCluster | undefined {
  if (name === undefined) return undefined
  const cluster = clusters.get(name)
  if (cluster !== undefined) return cluster
  const others = hidesNames === true ? '' : `; there is ${listed(clusters.keys())}`
  throw refusal('cluster', `there is no cluster ${quoted(name)}${others}`)
}

function findNetwork(
  { networks }: Topology,
  name: string | undefined,
  cluster: TopologyCluster | undefined,
): string {
  const known = cluster === undefined ? [...networks.keys()] : cluster.networks
  const whose = cluster === undefined ? 'the mesh has' : `cluster ${cluster.name} is in`
  const [only, another] = known
  if (name === undefined) {
    if (only !== undefined && another === undefined) return only
    const detail = `name the network of who asks; ${whose} ${listed(known)}`
    throw refusal('network', detail, 'say where who asks is: --from-network or --from-cluster')
  }
  if (!networks.has(name)) {
    throw refusal(
      'network',
      `there is no network ${quoted(name)}; there is ${listed(networks.keys())}`,
    )
  }
  if (known.includes(name)) return name
  throw refusal('network', `${whose} ${listed(known)} and not in ${name}`)
}

/** As {@link findNetwork}, for who is to learn of no other network. */
function findNetworkInSilence(
  { networks }: Topology,
  name: string | undefined,
  cluster: TopologyCluster | undefined,
): string {
  const known = cluster === undefined ? [...networks.keys()] : cluster.networks
  const [only, another] = known
  if (name === undefined && only !== undefined && another === undefined) return only
  if (name === undefined) throw refusal('network', 'name the network, or the cluster, of who asks')
  if (known.includes(name)) return name
  throw refusal('network', `who asks can be in no network ${quoted(name)}`)
}

function readLocality({ region, zone, subzone }: ConsumerDraft): Locality | undefined {
  if (zone !== undefined && region === undefined) {
    throw refusal('zone', `zone ${quoted(zone)} is in no region; name the region too`)
  }
  if (subzone !== undefined && zone === undefined) {
    throw refusal('subzone', `subzone ${quoted(subzone)} is in no zone; name the zone too`)
  }
  if (region === undefined) return undefined
  return {
    region,
    ...(zone !== undefined && { zone }),
    ...(subzone !== undefined && { subzone }),
  }
}

function listed(names: Iterable<string>): string {
  const all = [...names].toSorted()
  if (all.length === 0) return 'none'
  const more = all.length > MAX_LISTED ? ` and ${all.length - MAX_LISTED} more` : ''
  return `${all.slice(0, MAX_LISTED).join(', ')}${more}`
}

function refusal(field: string, detail: string, next?: string): ServiceError {
  const fields: FieldError[] = [{ in: 'querystring', pointer: `/${field}`, detail }]
  return new ServiceError('INVALID_REQUEST', detail, {
    fields,
    ...(next !== undefined && { next }),
  })
}
