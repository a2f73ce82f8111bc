import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readEndpoints } from '../../../src/cli/kubernetes/endpoints.ts'
import { readObjects } from '../../../src/cli/kubernetes/objects.ts'
import { readServices } from '../../../src/cli/kubernetes/services.ts'

const FILE = join(import.meta.dirname, '../../vectors/kubernetes-shop.json')
const shop = readObjects(readFileSync(FILE), 'shop.json')
const read = (value: unknown) => readObjects(Buffer.from(JSON.stringify(value)), 'x.json')

const protocolOf = (name: string, appProtocol?: string) => {
  const objects = read({
    kind: 'List',
    items: [
      {
        kind: 'Service',
        metadata: { name: 'a', namespace: 'b' },
        spec: { selector: { x: 'y' }, ports: [{ name, port: 1, appProtocol }] },
      },
      { kind: 'Pod', metadata: { name: 'p', namespace: 'b', labels: { x: 'y' } } },
    ],
  })
  return readServices(objects, undefined).services[0]?.ports[0]?.protocol
}

const refusal = (text: string) => {
  try {
    readObjects(Buffer.from(text), '-')
    return 'read'
  } catch (error) {
    return (error as Error).message
  }
}

t.test(
  'a service has the ports, labels and service accounts that Kubernetes knows of it',
  async (t) => {
    const { services } = readServices(shop, undefined)
    t.same(services, [
      {
        namespace: 'shop',
        name: 'cart',
        ports: [
          { name: 'http-web', port: 80, protocol: 'http' },
          { name: 'rpc', port: 9000, protocol: 'grpc' },
        ],
        identities: ['/ns/shop/sa/cart', '/ns/shop/sa/default'],
        labels: { app: 'cart', 'app.kubernetes.io/part-of': 'shop' },
      },
    ])
  },
)

t.test(
  'what cannot be called under one name is passed over with the reason, what has no pods is kept',
  async (t) => {
    const { passedOver, kept } = readServices(shop, undefined)
    t.same(kept, [{ namespace: 'shop', name: 'quiet' }])
    t.same(
      passedOver.map(({ service, reason }) => `${service}: ${reason}`),
      [
        'shop/db: it is headless: its pods are called one by one',
        'shop/mail: it is another name for a DNS name',
        'default/kubernetes: it has no selector, so who serves it is not known',
        'shop/syslog: it has no TCP port',
      ],
    )
    const named = readServices(shop, new Set(['kube-system']))
    t.same(named.kept, [{ namespace: 'kube-system', name: 'kube-dns' }], 'named, so it is taken')
  },
)

t.test('a protocol is that of appProtocol, else of the name of the port', async (t) => {
  t.equal(protocolOf('http'), 'http')
  t.equal(protocolOf('http2-x'), 'http2')
  t.equal(protocolOf('grpc-web-x'), 'http')
  t.equal(protocolOf('grpc-x'), 'grpc')
  t.equal(protocolOf('https'), 'tls')
  t.equal(protocolOf('web'), undefined)
  t.equal(protocolOf('httpx'), undefined)
  t.equal(protocolOf('http', 'kubernetes.io/h2c'), 'http2')
  t.equal(protocolOf('http', 'example.com/odd'), undefined, 'what is said counts, known or not')
})

t.test('endpoints are pods by their uid, once, with the place of their node', async (t) => {
  const services = new Set(['shop/cart'])
  const { endpoints, leftOut } = readEndpoints(shop, { namespaces: undefined, services })
  t.same(endpoints, [
    {
      namespace: 'shop',
      service: 'cart',
      workloadUid: 'pod-1',
      address: '10.0.0.5',
      healthy: true,
      region: 'eu-west',
      zone: 'eu-west-1a',
      port: 8080,
      portName: 'http-web',
    },
    {
      namespace: 'shop',
      service: 'cart',
      workloadUid: 'pod-2',
      address: '10.0.0.6',
      healthy: false,
      port: 8080,
      portName: 'http-web',
    },
  ])
  t.same(leftOut, [
    { service: 'shop/cart', address: '10.0.0.8', reason: 'it names no pod (no targetRef)' },
  ])
  const none = { endpoints: [], leftOut: [] }
  t.same(readEndpoints(shop, { namespaces: undefined, services: new Set() }), none)
  const other = { namespaces: new Set(['other']), services }
  t.same(readEndpoints(shop, other), none)
})

t.test('an endpoint that no report can have is left out with the reason', async (t) => {
  const reasonOf = (endpoint: object, addressType = 'IPv4'): string | undefined => {
    const metadata = {
      name: 'a',
      namespace: 'shop',
      labels: { 'kubernetes.io/service-name': 'cart' },
    }
    const ports = [{ name: 'http', port: 80 }]
    const slice = { kind: 'EndpointSlice', addressType, metadata, ports, endpoints: [endpoint] }
    const services = new Set(['shop/cart'])
    const objects = read({ kind: 'List', items: [slice] })
    const found = readEndpoints(objects, { namespaces: undefined, services })
    t.equal(found.endpoints.length, 0)
    return found.leftOut[0]?.reason
  }
  const addresses = ['10.0.0.9']
  t.match(reasonOf({ addresses, targetRef: { kind: 'Pod', name: 'cart-1' } }), /cart-1 has no uid/)
  t.match(reasonOf({ addresses, targetRef: { kind: 'Node', uid: 'x' } }), /of kind Node/)
  t.match(reasonOf({ targetRef: { kind: 'Pod', uid: 'x' } }), /its pod x has no address/)
  t.match(reasonOf({ addresses: ['a.example'] }, 'FQDN'), /DNS name/)
  t.equal(reasonOf({ addresses, conditions: { terminating: true } }), undefined, 'it is ending')
})

t.test('what is no list of objects is refused with what it is', async (t) => {
  t.match(refusal(''), /stdin is no JSON/)
  t.match(refusal('{"kind": "List", "items": ['), /stdin is no JSON/)
  t.match(refusal('[]'), /holds no JSON object/)
  t.match(refusal('null'), /holds no JSON object/)
  t.match(refusal('{}'), /has no kind, wanted a List/)
  t.match(refusal('{"kind": "Secret"}'), /has kind "Secret", wanted a List/)
  t.match(refusal('{"kind": "List"}'), /is a List without items/)
  t.match(refusal('{"kind": "List", "items": {}}'), /is a List without items/)
  t.match(refusal('\u{feff}x'), /is no JSON/)
  t.match(refusal(`${'['.repeat(200_000)}${']'.repeat(200_000)}`), /holds no JSON object|no JSON/)
  const deep = `{"kind":"List","items":[${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}]}`
  t.equal(refusal(deep), 'read', 'depth is never walked')
})

t.test('odd types count as missing, and nothing throws', async (t) => {
  const odd = [null, 1, 'x', [], {}, { metadata: 5 }, { name: {} }]
  const items = ['Service', 'Pod', 'EndpointSlice', 'Node'].flatMap((kind) => [
    ...odd.map((metadata) => ({ kind, metadata, spec: 7, endpoints: 'x', ports: [1] })),
    ...odd.map((spec) => ({ kind, metadata: { name: 'a', namespace: 'b', labels: spec }, spec })),
    ...odd.map((inner) => ({
      kind,
      metadata: { name: 'a', namespace: 'b', labels: { 'kubernetes.io/service-name': 'a' } },
      spec: { selector: { x: 'y' }, ports: [inner, { port: inner }, { port: 70_000 }] },
      endpoints: [inner, { addresses: inner, targetRef: inner, conditions: inner }],
      ports: [{ port: inner }],
    })),
  ])
  const objects = read({ kind: 'List', items: [...items, ...odd] })
  const { services, passedOver } = readServices(objects, undefined)
  t.same(services, [])
  t.ok(passedOver.length > 0)
  const odds = readEndpoints(objects, { namespaces: undefined, services: new Set(['b/a']) })
  t.same(odds.endpoints, [])
  const proto = JSON.parse('{"kind":"List","items":[{"kind":"__proto__"},{"kind":"constructor"}]}')
  t.same(read(proto).services, [])
})

t.test('the list of one kind names the kind of its items', async (t) => {
  const list = {
    kind: 'ServiceList',
    items: [{ metadata: { name: 'a', namespace: 'b' }, spec: { type: 'ExternalName' } }],
  }
  t.equal(read(list).services.length, 1)
})
