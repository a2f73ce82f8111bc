import {
  type JsonObject,
  type KubernetesObject,
  type KubernetesObjects,
  objectAt,
  objectsAt,
  portAt,
  textAt,
  textsOf,
} from './objects.ts'

/** A service as the API takes it. */
export interface ReadService {
  readonly namespace: string
  readonly name: string
  readonly ports: readonly ReadPort[]
  /** Paths in the mesh's primary trust domain. */
  readonly identities: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

/** A port of a service. */
export interface ReadPort {
  readonly name: string
  readonly port: number
  readonly protocol?: string
}

/** A service that is not taken over, and why. */
export interface PassedOver {
  readonly service: string
  readonly reason: string
}

/** What a cluster has. */
export interface ReadServices {
  readonly services: readonly ReadService[]
  /** Without pods now, so who serves them is not known: what the catalogue has of them stays. */
  readonly kept: readonly { readonly namespace: string; readonly name: string }[]
  readonly passedOver: readonly PassedOver[]
}

/** Namespaces of Kubernetes itself, of which services are taken only when one is named. */
const OF_KUBERNETES: ReadonlySet<string> = new Set([
  'kube-system',
  'kube-public',
  'kube-node-lease',
])
const MOST_PORTS = 32
const MOST_IDENTITIES = 32
const MOST_LABELS = 64

/**
 * The services of a cluster that others can call under mutual TLS.
 *
 * Who may serve one are the service accounts of the pods that its selector chooses (`/ns/<namespace>/sa/<account>`,
 * as Istio names them). Passed over: aliases of DNS names, headless services (their pods are called one by one),
 * services without a selector, and those without a TCP port.
 */
export function readServices(
  objects: KubernetesObjects,
  namespaces: ReadonlySet<string> | undefined,
): ReadServices {
  const podsOf = Map.groupBy(objects.pods, ({ namespace }) => namespace)
  const services: ReadService[] = []
  const kept: ReadService[] = []
  const passedOver: PassedOver[] = []
  for (const object of objects.services) {
    if (!isSpokenOf(object.namespace, namespaces)) continue
    const title = `${object.namespace}/${object.name}`
    const read = readService(object, podsOf.get(object.namespace) ?? [])
    if (typeof read === 'string') passedOver.push({ service: title, reason: read })
    else if (read.identities.length === 0) kept.push(read)
    else services.push(read)
  }
  return { services, kept: kept.map(({ namespace, name }) => ({ namespace, name })), passedOver }
}

/** Whether services of a namespace are taken. */
export function isSpokenOf(
  namespace: string,
  namespaces: ReadonlySet<string> | undefined,
): boolean {
  return namespaces?.has(namespace) ?? !OF_KUBERNETES.has(namespace)
}

/** The name of a service's port as the catalogue has it: a lone port may have none in Kubernetes. */
export function portNameOf(name: string): string {
  return name === '' ? 'default' : name
}

function readService(
  { namespace, name, labels, body }: KubernetesObject,
  pods: readonly KubernetesObject[],
): ReadService | string {
  const spec = objectAt(body, 'spec')
  if (textAt(spec, 'type') === 'ExternalName') return 'it is another name for a DNS name'
  if (textAt(spec, 'clusterIP') === 'None') return 'it is headless: its pods are called one by one'
  const selector = textsOf(objectAt(spec, 'selector'))
  if (selector.size === 0) return 'it has no selector, so who serves it is not known'
  const ports = objectsAt(spec, 'ports').flatMap(readPort)
  if (ports.length === 0) return 'it has no TCP port'
  if (ports.length > MOST_PORTS)
    return `it has ${ports.length} TCP ports, at most ${MOST_PORTS} fit`
  if (labels.size > MOST_LABELS) return `it has ${labels.size} labels, at most ${MOST_LABELS} fit`
  const identities = new Set(pods.filter((pod) => isServing(pod, selector)).map(identityOf))
  if (identities.size > MOST_IDENTITIES) {
    return `its pods have ${identities.size} service accounts, at most ${MOST_IDENTITIES} fit`
  }
  return {
    namespace,
    name,
    ports,
    identities: [...identities].toSorted(),
    labels: Object.fromEntries(labels),
  }
}

function readPort(port: JsonObject): ReadPort[] {
  const number = portAt(port, 'port')
  const transport = textAt(port, 'protocol')
  if (number === undefined || (transport !== '' && transport !== 'TCP')) return []
  const name = portNameOf(textAt(port, 'name'))
  const protocol = protocolOf(textAt(port, 'appProtocol'), name)
  return [{ name, port: number, ...(protocol === undefined ? {} : { protocol }) }]
}

/** Names of protocols, as `appProtocol` or as the beginning of a port's name, and what they are here. */
const PROTOCOLS: ReadonlyMap<string, string> = new Map([
  ['http', 'http'],
  ['kubernetes.io/ws', 'http'],
  ['kubernetes.io/wss', 'tls'],
  ['http2', 'http2'],
  ['h2c', 'http2'],
  ['kubernetes.io/h2c', 'http2'],
  ['grpc', 'grpc'],
  ['grpc-web', 'http'],
  ['https', 'tls'],
  ['tls', 'tls'],
  ['tcp', 'tcp'],
  ['mongo', 'tcp'],
  ['mysql', 'tcp'],
  ['redis', 'tcp'],
])

/** As Istio chooses: `appProtocol` first, then the port's name up to its first dash; undefined = nobody said. */
function protocolOf(appProtocol: string, name: string): string | undefined {
  if (appProtocol !== '') return PROTOCOLS.get(appProtocol.toLowerCase())
  if (name === 'grpc-web' || name.startsWith('grpc-web-')) return PROTOCOLS.get('grpc-web')
  const [word = ''] = name.split('-', 1)
  return PROTOCOLS.get(word)
}

/** Pods that have come to their end serve nothing any more. */
function isServing(pod: KubernetesObject, selector: ReadonlyMap<string, string>): boolean {
  const phase = textAt(objectAt(pod.body, 'status'), 'phase')
  if (phase === 'Succeeded' || phase === 'Failed') return false
  return [...selector].every(([key, value]) => pod.labels.get(key) === value)
}

function identityOf({ namespace, body }: KubernetesObject): string {
  const account = textAt(objectAt(body, 'spec'), 'serviceAccountName')
  return `/ns/${namespace}/sa/${account === '' ? 'default' : account}`
}
