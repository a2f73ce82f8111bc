import {
  flagAt,
  type JsonObject,
  type KubernetesObject,
  type KubernetesObjects,
  objectAt,
  objectsAt,
  portAt,
  textAt,
  textsAt,
} from './objects.ts'
import { isSpokenOf, portNameOf } from './services.ts'

/** An endpoint as a report has it. */
export interface ReadEndpoint {
  readonly namespace: string
  readonly service: string
  readonly workloadUid: string
  readonly address: string
  readonly port: number
  readonly portName: string
  readonly region?: string
  readonly zone?: string
  readonly network?: string
  readonly healthy: boolean
}

/** An endpoint that no report can have. */
export interface LeftOut {
  /** `namespace/name`. */
  readonly service: string
  /** Its address, empty where it has none. */
  readonly address: string
  readonly reason: string
}

/** The endpoints in what Kubernetes told. */
export interface ReadEndpoints {
  readonly endpoints: readonly ReadEndpoint[]
  readonly leftOut: readonly LeftOut[]
}

/** What endpoints are read by. */
export interface EndpointChoice {
  readonly namespaces: ReadonlySet<string> | undefined
  /** Titles of the services that are taken. */
  readonly services: ReadonlySet<string>
  readonly network?: string | undefined
}

const SERVICE = 'kubernetes.io/service-name'
const REGION = 'topology.kubernetes.io/region'

/**
 * The endpoints of services in a cluster's EndpointSlices: one for each pod and port, by the pod's uid.
 *
 * Endpoints that name no pod are left out and told of, since nothing but their address would tell them apart; those
 * that are ending are passed over. A pod that has addresses of both families is reported by its IPv4 address. A zone
 * counts where the file also holds the nodes, which know the region that it is in.
 */
export function readEndpoints(
  { slices, nodes }: KubernetesObjects,
  choice: EndpointChoice,
): ReadEndpoints {
  const regions = new Map(nodes.map((node) => [node.name, node.labels.get(REGION) ?? '']))
  const found = new Map<string, ReadEndpoint>()
  const leftOut: LeftOut[] = []
  for (const slice of slices.toSorted(byFamily)) {
    const read = endpointsIn(slice, choice, regions)
    leftOut.push(...read.leftOut)
    for (const endpoint of read.endpoints) {
      const { namespace, service, workloadUid, port } = endpoint
      const key = `${namespace}/${service}/${port}/${workloadUid}`
      if (!found.has(key)) found.set(key, endpoint)
    }
  }
  return { endpoints: [...found.values()], leftOut }
}

const NONE: ReadEndpoints = { endpoints: [], leftOut: [] }

function endpointsIn(
  { namespace, labels, body }: KubernetesObject,
  { namespaces, services, network }: EndpointChoice,
  regions: ReadonlyMap<string, string>,
): ReadEndpoints {
  const service = labels.get(SERVICE) ?? ''
  const title = `${namespace}/${service}`
  if (!isSpokenOf(namespace, namespaces) || !services.has(title)) return NONE
  const ports = objectsAt(body, 'ports').flatMap(portOf)
  const isNamed = textAt(body, 'addressType') === 'FQDN'
  const endpoints: ReadEndpoint[] = []
  const leftOut: LeftOut[] = []
  for (const endpoint of objectsAt(body, 'endpoints').filter(isStaying)) {
    const [address = ''] = textsAt(endpoint, 'addresses')
    const read = isNamed ? 'its address is a DNS name' : workloadOf(endpoint, address, regions)
    if (typeof read === 'string') leftOut.push({ service: title, address, reason: read })
    else {
      const of = { namespace, service, ...read, ...(network === undefined ? {} : { network }) }
      endpoints.push(...ports.map((port) => ({ ...of, ...port })))
    }
  }
  return { endpoints, leftOut }
}

function isStaying(endpoint: JsonObject): boolean {
  return flagAt(objectAt(endpoint, 'conditions'), 'terminating') !== true
}

function portOf(port: JsonObject): { readonly port: number; readonly portName: string }[] {
  const number = portAt(port, 'port')
  const transport = textAt(port, 'protocol')
  if (number === undefined || (transport !== '' && transport !== 'TCP')) return []
  return [{ port: number, portName: portNameOf(textAt(port, 'name')) }]
}

type Workload = Pick<ReadEndpoint, 'workloadUid' | 'address' | 'healthy' | 'region' | 'zone'>

/** What the report says of an endpoint, or why it is left out. */
function workloadOf(
  endpoint: JsonObject,
  address: string,
  regions: ReadonlyMap<string, string>,
): Workload | string {
  const target = objectAt(endpoint, 'targetRef')
  const kind = textAt(target, 'kind')
  const workloadUid = textAt(target, 'uid')
  if (kind === '') return 'it names no pod (no targetRef)'
  if (kind !== 'Pod') return `it is no pod (targetRef is of kind ${kind})`
  if (workloadUid === '') return `its pod ${textAt(target, 'name') || 'without a name'} has no uid`
  if (address === '') return `its pod ${textAt(target, 'name') || workloadUid} has no address`
  const conditions = objectAt(endpoint, 'conditions')
  const zone = textAt(endpoint, 'zone')
  const region = regions.get(textAt(endpoint, 'nodeName')) ?? ''
  return {
    workloadUid,
    address,
    // Unknown counts as ready, as Kubernetes has it.
    healthy: flagAt(conditions, 'ready') !== false,
    ...(region === '' ? {} : { region }),
    ...(region === '' || zone === '' ? {} : { zone }),
  }
}

function byFamily(a: KubernetesObject, b: KubernetesObject): number {
  return familyOf(a) - familyOf(b)
}

function familyOf({ body }: KubernetesObject): number {
  return textAt(body, 'addressType') === 'IPv6' ? 1 : 0
}
