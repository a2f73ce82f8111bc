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
 * Endpoints that name no pod are left out, since nothing but their address would tell them apart; so are those that
 * are ending. A pod that has addresses of both families is reported by its IPv4 address. A zone counts where the
 * file also holds the nodes, which know the region that it is in.
 */
export function readEndpoints(
  { slices, nodes }: KubernetesObjects,
  choice: EndpointChoice,
): readonly ReadEndpoint[] {
  const regions = new Map(nodes.map((node) => [node.name, node.labels.get(REGION) ?? '']))
  const found = new Map<string, ReadEndpoint>()
  for (const slice of slices.toSorted(byFamily)) {
    for (const endpoint of endpointsIn(slice, choice, regions)) {
      const { namespace, service, workloadUid, port } = endpoint
      const key = `${namespace}/${service}/${port}/${workloadUid}`
      if (!found.has(key)) found.set(key, endpoint)
    }
  }
  return [...found.values()]
}

function endpointsIn(
  { namespace, labels, body }: KubernetesObject,
  { namespaces, services, network }: EndpointChoice,
  regions: ReadonlyMap<string, string>,
): ReadEndpoint[] {
  const service = labels.get(SERVICE) ?? ''
  const isWanted = isSpokenOf(namespace, namespaces) && services.has(`${namespace}/${service}`)
  if (!isWanted || textAt(body, 'addressType') === 'FQDN') return []
  const ports = objectsAt(body, 'ports').flatMap(portOf)
  return objectsAt(body, 'endpoints').flatMap((endpoint) => {
    const read = workloadOf(endpoint, regions)
    if (read === undefined) return []
    const of = { namespace, service, ...read, ...(network === undefined ? {} : { network }) }
    return ports.map((port) => ({ ...of, ...port }))
  })
}

function portOf(port: JsonObject): { readonly port: number; readonly portName: string }[] {
  const number = portAt(port, 'port')
  const transport = textAt(port, 'protocol')
  if (number === undefined || (transport !== '' && transport !== 'TCP')) return []
  return [{ port: number, portName: portNameOf(textAt(port, 'name')) }]
}

type Workload = Pick<ReadEndpoint, 'workloadUid' | 'address' | 'healthy' | 'region' | 'zone'>

function workloadOf(
  endpoint: JsonObject,
  regions: ReadonlyMap<string, string>,
): Workload | undefined {
  const target = objectAt(endpoint, 'targetRef')
  const workloadUid = textAt(target, 'kind') === 'Pod' ? textAt(target, 'uid') : ''
  const [address = ''] = textsAt(endpoint, 'addresses')
  const conditions = objectAt(endpoint, 'conditions')
  if (workloadUid === '' || address === '' || flagAt(conditions, 'terminating') === true) {
    return undefined
  }
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
