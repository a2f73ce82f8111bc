import { type Operation, type Parameter, parametersOf } from './walk.ts'
import { digestOf, type Populated, somebodysRoot } from './populate.ts'

/** What stands for a parameter: the object that a mesh has, and one that only this mesh has. */
interface Subject {
  readonly own: (populated: Populated) => string
  /** Undefined where every mesh has the same few values. */
  readonly only: ((populated: Populated) => string) | undefined
  /** The same kind of name, of nothing. */
  readonly unknown: string
}

const NOBODY = '00000000-0000-4000-8000-000000000000'

const id = (name: string): Subject => {
  const own = ({ ids }: Populated): string => ids[name] ?? NOBODY
  return { own, only: own, unknown: NOBODY }
}
const named = (name: string): Subject => ({
  own: () => name,
  only: ({ mark }) => `only-${mark}`,
  unknown: 'only-none',
})
const fixed = (value: string): Subject => ({ own: () => value, only: undefined, unknown: value })

/** Every parameter of every route. A route with another one fails the walk until it has its row here. */
const SUBJECTS: Readonly<Record<string, Subject>> = {
  'api-tokens/tokenId': id('apiTokenId'),
  'applied/kind': fixed('PeerGroup'),
  'applied/kind/name': named('partners'),
  'authorities/authorityId': id('authorityId'),
  'clusters/cluster': named('east'),
  'control-planes/name': named('east'),
  'bundles/trustDomain': {
    own: ({ peerDomain }) => peerDomain,
    only: ({ peerDomain }) => peerDomain,
    unknown: 'peer-none.example',
  },
  'deliveries/deliveryId': fixed(NOBODY),
  'distrusted-keys/sha256': {
    own: ({ mark }) => digestOf(mark),
    only: ({ mark }) => digestOf(mark),
    unknown: digestOf('none'),
  },
  'egress-rules/id': fixed(NOBODY),
  'entries/entryId': id('entryId'),
  'gateways/name': named('east'),
  'grants/grantId': id('grantId'),
  'invites/inviteId': id('inviteId'),
  'join-tokens/tokenId': id('joinTokenId'),
  'meshes/meshId': {
    own: ({ meshId }) => meshId,
    only: ({ meshId }) => meshId,
    unknown: 'nobody',
  },
  'networks/name': named('east'),
  'offers/namespace': fixed('shop'),
  'offers/namespace/name': named('cart'),
  'peer-groups/name': named('partners'),
  'proposals/proposal': fixed(NOBODY),
  'readers/label': named('spire'),
  'relationships/name': named('partner'),
  'relationships/relationship': named('partner'),
  'revisions/sequence': { ...id('sequence'), only: undefined },
  'rules/rule': id('ruleId'),
  'quotas/namespace': {
    own: ({ namespace }) => namespace,
    only: ({ namespace }) => namespace,
    unknown: 'nobody',
  },
  'services/namespace': {
    own: ({ namespace }) => namespace,
    only: ({ namespace }) => namespace,
    unknown: 'nobody',
  },
  'services/namespace/name': named('cart'),
  'trust-domains/trustDomain': {
    own: ({ trustDomain }) => trustDomain,
    only: ({ trustDomain }) => trustDomain,
    unknown: 'none.example',
  },
  'webhooks/name': named('ops'),
}

/** What stands for a parameter; throws for one that has no row. */
export function subjectOf({ place }: Parameter): Subject {
  const subject = SUBJECTS[place]
  if (subject === undefined) throw new Error(`no subject for the parameter ${place}`)
  return subject
}

const PORTS = [{ name: 'http', port: 80 }]

type BodyOf = (populated: Populated) => object | undefined

const nothing: BodyOf = () => undefined
const empty: BodyOf = () => ({})

/** A body for every mutation that its schema takes. A mutation without a row fails the walk. */
const BODIES: Readonly<Record<string, BodyOf>> = {
  'POST /v1/api-tokens': () => ({ label: 'other', ttlSeconds: 600 }),
  'POST /v1/meshes': ({ mark }) => ({ meshId: `new-${mark}`, trustDomain: `new-${mark}.example` }),
  'POST /v1/egress-rules': () => ({ rule: '10.1.2.0/24' }),
  'POST /v1/grants': () => ({ tokenId: NOBODY, role: 'auditor' }),
  'POST /v1/webhooks': () => ({ name: 'all', url: 'https://hook.example/' }),
  'POST /v1/webhooks/{name}/test': empty,
  'POST /v1/webhooks/{name}/deliveries/{deliveryId}/retry': empty,
  'PATCH /v1/meshes/{meshId}': () => ({ displayName: 'changed' }),
  'POST /v1/meshes/{meshId}/authorities': () => ({ kind: 'jwt' }),
  'POST /v1/meshes/{meshId}/authorities/{authorityId}/activate': empty,
  'POST /v1/meshes/{meshId}/bundle/readers': () => ({ label: 'new' }),
  'POST /v1/meshes/{meshId}/adopt': ({ mark }) => ({
    trustDomain: `adopted-${mark}.example`,
    source: 'static',
    bundlePem: somebodysRoot(`adopted-${mark}.example`),
  }),
  'POST /v1/meshes/{meshId}/trust-domains/{trustDomain}/manage': nothing,
  'POST /v1/meshes/{meshId}/trust-domains/{trustDomain}/release': nothing,
  'PUT /v1/meshes/{meshId}/trust-domains/{trustDomain}/recovery': () => ({ recovery: [] }),
  'POST /v1/meshes/{meshId}/relationships': ({ mark }) => ({
    name: 'new',
    domains: [
      {
        trustDomain: `new-${mark}.example`,
        source: 'static',
        bundlePem: somebodysRoot(`new-${mark}.example`),
      },
    ],
  }),
  'PATCH /v1/meshes/{meshId}/relationships/{name}': () => ({ note: 'changed' }),
  'POST /v1/meshes/{meshId}/relationships/{name}/refresh': empty,
  'POST /v1/meshes/{meshId}/relationships/{name}/terminate': empty,
  'POST /v1/meshes/{meshId}/relationships/{name}/approve': empty,
  'POST /v1/meshes/{meshId}/relationships/{name}/withdraw': empty,
  'POST /v1/meshes/{meshId}/relationships/{name}/suspend': empty,
  'POST /v1/meshes/{meshId}/relationships/{name}/resume': empty,
  'POST /v1/meshes/{meshId}/relationships/{name}/proposals': ({ peerDomain }) => ({
    domains: [
      { trustDomain: peerDomain, source: 'https_web', endpointUrl: `https://${peerDomain}/bundle` },
    ],
  }),
  'POST /v1/meshes/{meshId}/relationships/{name}/proposals/{proposal}/approve': nothing,
  'POST /v1/meshes/{meshId}/relationships/{name}/proposals/{proposal}/drop': nothing,
  'POST /v1/meshes/{meshId}/relationships/{name}/bundles/{trustDomain}': ({ peerDomain }) => ({
    bundlePem: somebodysRoot(peerDomain),
  }),
  'POST /v1/meshes/{meshId}/relationships/{name}/bundles/{trustDomain}/revisions/approve': ({
    mark,
  }) => ({ digest: digestOf(mark) }),
  'POST /v1/meshes/{meshId}/relationships/{name}/bundles/{trustDomain}/revisions/reject': ({
    mark,
  }) => ({ digest: digestOf(mark) }),
  'POST /v1/meshes/{meshId}/relationships/{name}/doctor': nothing,
  'POST /v1/meshes/{meshId}/peer-groups': () => ({
    name: 'new',
    members: [{ relationship: 'partner' }],
  }),
  'PATCH /v1/meshes/{meshId}/peer-groups/{name}': () => ({ note: 'changed' }),
  'POST /v1/meshes/{meshId}/distrusted-keys': ({ mark }) => ({
    publicKeySha256: digestOf(`new${mark}`),
  }),
  'POST /v1/meshes/{meshId}/move': ({ mark }) => ({ url: `https://new-${mark}.example` }),
  'POST /v1/meshes/{meshId}/invites': ({ mark }) => ({ for: `new-${mark}.example` }),
  'POST /v1/meshes/{meshId}/invites/accept': () => ({ invite: 'entente-invite-none' }),
  'PUT /v1/meshes/{meshId}/applied/{kind}/{name}': ({ mark }) => ({
    owner: mark,
    digest: digestOf('changed'),
  }),
  'POST /v1/meshes/{meshId}/services': ({ trustDomain, namespace }) => ({
    namespace,
    name: 'new',
    ports: PORTS,
    identities: [`spiffe://${trustDomain}/ns/${namespace}/sa/new`],
  }),
  'PATCH /v1/meshes/{meshId}/services/{namespace}/{name}': () => ({ labels: { changed: 'yes' } }),
  'POST /v1/meshes/{meshId}/relationships/{relationship}/offers': ({ peerDomain }) => ({
    namespace: 'shop',
    name: 'new',
    ports: PORTS,
    identities: [`spiffe://${peerDomain}/ns/shop/sa/new`],
  }),
  'POST /v1/meshes/{meshId}/rules': ({ namespace }) => ({
    direction: 'export',
    effect: 'allow',
    subject: { namespace, name: '*' },
    audience: { kind: 'all' },
  }),
  'PATCH /v1/meshes/{meshId}/rules/{rule}': () => ({ note: 'changed' }),
  'PUT /v1/meshes/{meshId}/quotas': () => ({ services: 100 }),
  'PUT /v1/meshes/{meshId}/quotas/{namespace}': () => ({ services: 100 }),
  'POST /v1/meshes/{meshId}/clusters': () => ({
    name: 'new',
    role: 'remote',
    controlPlanes: ['east'],
  }),
  'PATCH /v1/meshes/{meshId}/clusters/{cluster}': () => ({ state: 'draining' }),
  'PUT /v1/meshes/{meshId}/clusters/{cluster}/services': () => ({
    source: 'k8s',
    services: [],
    intentional: true,
  }),
  'POST /v1/meshes/{meshId}/clusters/{cluster}/move': () => ({ toMesh: 'nobody' }),
  'POST /v1/meshes/{meshId}/control-planes': () => ({
    name: 'new',
    type: 'external',
    address: 'new.example:443',
  }),
  'PATCH /v1/meshes/{meshId}/control-planes/{name}': () => ({ heartbeatSeconds: 30 }),
  'POST /v1/meshes/{meshId}/control-planes/{name}/heartbeat': nothing,
  'POST /v1/meshes/{meshId}/networks': () => ({ name: 'new' }),
  'PATCH /v1/meshes/{meshId}/networks/{name}': () => ({ directlyReachable: false }),
  'PUT /v1/meshes/{meshId}/networks/{name}/shared-name': () => ({ sharedName: 'campus' }),
  'POST /v1/meshes/{meshId}/gateways': () => ({
    name: 'new',
    network: 'east',
    address: 'new.example',
    port: 443,
  }),
  'PATCH /v1/meshes/{meshId}/gateways/{name}': () => ({ weight: 2 }),
  'POST /v1/meshes/{meshId}/gateways/{name}/heartbeat': nothing,
  'POST /v1/meshes/{meshId}/webhooks': ({ mark }) => ({
    name: 'new',
    url: `https://${mark}.example/new`,
  }),
  'POST /v1/meshes/{meshId}/webhooks/{name}/test': empty,
  'POST /v1/meshes/{meshId}/webhooks/{name}/deliveries/{deliveryId}/retry': empty,
  'POST /v1/meshes/{meshId}/entries': () => ({ spiffeId: '/ns/shop/sa/new' }),
  'PATCH /v1/meshes/{meshId}/entries/{entryId}': () => ({ hint: 'changed' }),
  'POST /v1/meshes/{meshId}/join-tokens': () => ({ spiffeId: '/ns/shop/sa/new' }),
}

/** A body that the schema of a mutation takes; throws for a mutation that has no row. */
export function bodyOf(key: string, populated: Populated): object | undefined {
  if (/^(GET|DELETE) /.test(key)) return undefined
  const body = BODIES[key]
  if (body === undefined) throw new Error(`no body for ${key}`)
  return body(populated)
}

/** What routes that ask for something need in their query. */
const QUERIES: Readonly<Record<string, (populated: Populated) => Record<string, string>>> = {
  'GET /v1/meshes/{meshId}/bundle/signed': ({ peerDomain }) => ({ for: peerDomain }),
  'GET /v1/meshes/{meshId}/relationships/{name}/instructions': () => ({
    side: 'theirs',
    for: 'istio',
  }),
  'GET /v1/meshes/{meshId}/explain': ({ trustDomain, namespace, mark }) => ({
    service: `${namespace}/cart`,
    caller: `spiffe://${trustDomain}/ns/${namespace}/sa/${mark}`,
  }),
  'GET /v1/meshes/{meshId}/resolve': ({ namespace }) => ({
    service: `${namespace}/cart`,
    network: 'default',
    namespace,
  }),
  'GET /v1/meshes/{meshId}/usage': ({ namespace }) => ({ namespace }),
  'GET /v1/meshes/{meshId}/services': ({ namespace }) => ({ namespace }),
  'GET /v1/meshes/{meshId}/relationships/{name}/bundles/{trustDomain}/revisions/diff': () => ({
    from: '1',
    to: '1',
  }),
}

/** The query that a route needs, with `?`. */
export function queryOf(key: string, populated: Populated): string {
  const query = new URLSearchParams(QUERIES[key]?.(populated) ?? {})
  return query.size === 0 ? '' : `?${query.toString()}`
}

/** What the tables here lack for these routes, and what they have for none of them. */
export function gapsFor(operations: readonly Operation[]): string[] {
  const places = new Set(
    operations.flatMap(({ path }) => parametersOf(path).map((one) => one.place)),
  )
  const changes = operations.filter(({ method }) => method !== 'GET' && method !== 'DELETE')
  const keys = new Set(operations.map(({ key }) => key))
  return [
    ...[...places].filter((place) => SUBJECTS[place] === undefined).map((place) => `no ${place}`),
    ...changes.filter(({ key }) => BODIES[key] === undefined).map(({ key }) => `no body: ${key}`),
    ...Object.keys(SUBJECTS).filter((place) => !places.has(place)),
    ...[...Object.keys(BODIES), ...Object.keys(QUERIES)].filter((key) => !keys.has(key)),
  ]
}

/** Whether the tables here have all that a route needs. */
export function isCovered({ key, method, path }: Operation): boolean {
  const isRead = method === 'GET' || method === 'DELETE'
  const hasSubjects = parametersOf(path).every(({ place }) => SUBJECTS[place] !== undefined)
  return hasSubjects && (isRead || BODIES[key] !== undefined)
}
