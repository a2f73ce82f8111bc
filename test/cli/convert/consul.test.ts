import t from 'tap'
import { converted, lines } from './converted.ts'

const exported = (Services: unknown) => ({ Kind: 'exported-services', Name: 'default', Services })
const intentions = (Name: string, Sources: unknown, Namespace = 'shop') => ({
  Kind: 'service-intentions',
  Name,
  Namespace,
  Sources,
})
const all = (...entries: object[]) => entries.map((one) => JSON.stringify(one)).join('\n---\n')
const source = (Name: string, Action: string, more: object = { Peer: 'globex' }) => ({
  Name,
  Namespace: 'web',
  Action,
  ...more,
})
const SHOP = exported([{ Name: '*', Namespace: 'shop', Consumers: [{ Peer: 'globex' }] }])
const IMPORTS = ['import allow */* globex', 'export allow * globex']

t.test('exports go to peers and groups, and what peers export is imported', async (t) => {
  const { documents, refused, remarks } = converted(
    'consul',
    all(
      exported([
        {
          Name: 'cart',
          Consumers: [{ Peer: 'globex' }, { SamenessGroup: 'eu' }, { Partition: 'x' }],
        },
        { Name: '*', Namespace: '*', Consumers: [{ Peer: 'globex' }] },
      ]),
      {
        Kind: 'sameness-group',
        Name: 'eu',
        IncludeLocal: true,
        Members: [{ Peer: 'west' }, { Partition: 'p2' }],
      },
    ),
  )
  t.strictSame(documents[0], {
    kind: 'PeerGroup',
    name: 'eu',
    members: [{ self: true }, { relationship: 'west' }],
  })
  t.strictSame(lines({ documents }), [
    'export allow default/cart globex,@eu',
    'export allow */* globex',
    ...IMPORTS,
    'import allow */* @eu',
    'export allow * @eu',
  ])
  t.strictSame(refused, [
    'sameness-group eu Members[1].Partition',
    'exported-services default Services[0].Consumers[2].Partition',
  ])
  t.match(remarks, [/no service-intentions/])
})

t.test('the Kubernetes form says the same', async (t) => {
  const yaml = `
kind: ExportedServices
metadata: {name: default}
spec:
  services:
    - {name: cart, namespace: shop, consumers: [{peer: globex}, {samenessGroup: eu}]}
---
kind: ServiceIntentions
metadata: {name: cart}
spec:
  destination: {name: cart, namespace: shop}
  sources:
    - {name: front, namespace: web, peer: globex, action: allow}
---
kind: SamenessGroup
metadata: {name: eu}
spec: {defaultForFailover: true, includeLocal: true, members: [{peer: globex}]}
`
  const { documents, refused } = converted('consul', yaml)
  t.strictSame(lines({ documents }), [
    'export allow shop/cart globex by /ns/web/dc/dc1/svc/front',
    ...IMPORTS,
    'import allow */* @eu',
    'export allow * @eu',
  ])
  t.strictSame(refused, ['SamenessGroup eu spec.defaultForFailover'])
})

t.test('a specific allow under a wide deny is a narrow allow', async (t) => {
  const { documents, refused } = converted(
    'consul',
    all(SHOP, intentions('cart', [source('front', 'allow'), source('*', 'deny')])),
  )
  t.strictSame(lines({ documents }), [
    'export allow shop/cart globex by /ns/web/dc/dc1/svc/front',
    ...IMPORTS,
  ])
  t.strictSame(refused, [])
})

t.test('a deny that carves out of a wider allow stays a deny', async (t) => {
  const { documents } = converted(
    'consul',
    all(SHOP, intentions('cart', [source('front', 'deny'), source('*', 'allow')])),
  )
  t.strictSame(lines({ documents }), [
    'export deny shop/cart globex by /ns/web/dc/dc1/svc/front',
    'export allow shop/cart globex by web',
    ...IMPORTS,
  ])
})

t.test(
  'an allow inside a deny inside an allow cannot be kept and is refused by name',
  async (t) => {
    const { documents, refused } = converted(
      'consul',
      all(
        SHOP,
        intentions('cart', [
          source('front', 'allow'),
          source('*', 'deny'),
          { Name: '*', Namespace: '*', Peer: 'globex', Action: 'allow' },
        ]),
      ),
    )
    t.strictSame(refused, ['service-intentions cart Sources[0]'])
    t.strictSame(lines({ documents }), [
      'export deny shop/cart globex by web',
      'export allow shop/cart globex',
      ...IMPORTS,
    ])
  },
)

t.test('what is refused never opens more than Consul did', async (t) => {
  const { documents, refused } = converted(
    'consul',
    all(
      SHOP,
      intentions('*', [{ Name: '*', Namespace: '*', Peer: 'globex', Action: 'allow' }], '*'),
      intentions('cart', [
        {
          ...source('front', ''),
          Action: undefined,
          Permissions: [{ Action: 'allow', HTTP: { PathExact: '/' } }],
        },
      ]),
      { ...intentions('pay', [source('front', 'allow')]), JWT: { Providers: [{ Name: 'okta' }] } },
    ),
  )
  t.strictSame(refused, [
    'service-intentions cart Sources[0].Permissions',
    'service-intentions pay JWT',
  ])
  t.strictSame(lines({ documents }).slice(0, 3), [
    'export deny shop/cart globex by /ns/web/dc/dc1/svc/front',
    'export deny shop/pay globex by /ns/web/dc/dc1/svc/front',
    'export allow shop/* globex',
  ])
})

t.test('intentions of our own services are rules for ourselves', async (t) => {
  const { documents } = converted('consul', intentions('cart', [source('front', 'allow', {})]))
  t.strictSame(lines({ documents }), ['export allow shop/cart self by /ns/web/dc/dc1/svc/front'])
})

t.test('exports and intentions meet only where they name the same peers', async (t) => {
  const { documents, refused, remarks } = converted(
    'consul',
    all(
      exported([{ Name: 'cart', Namespace: 'shop', Consumers: [{ Peer: 'initech' }] }]),
      intentions('cart', [source('front', 'allow')]),
    ),
  )
  t.strictSame(lines({ documents }), ['import allow */* initech', 'export allow * initech'])
  t.strictSame(refused, [])
  t.match(remarks, [/shop\/cart, which no intention lets anybody call/])
  const group = converted(
    'consul',
    all(SHOP, intentions('cart', [source('front', 'allow', { SamenessGroup: 'eu' })])),
  )
  t.match(group.details, [/stands in its own entry/])
})

t.test('the path of callers is as the template says', async (t) => {
  const { documents } = converted(
    'consul',
    all(SHOP, intentions('cart', [source('*', 'allow'), source('front', 'allow')])),
    { callerPath: '/ap/p1/ns/{namespace}/sa/{name}' },
  )
  t.strictSame(lines({ documents }).slice(0, 2), [
    'export allow shop/cart globex by /ap/p1/ns/web/sa/*',
    'export allow shop/cart globex by /ap/p1/ns/web/sa/front',
  ])
})
