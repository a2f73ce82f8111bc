import t from 'tap'
import { converted } from '../../cli/convert/converted.ts'
import { mayCall, seenBy, seenOf, smallMesh } from './small-mesh.ts'

const named = (nameSelector: object) => ({ type: 'NameSelector', nameSelector })
const set = (kind: string, spec: object) => ({ kind, metadata: { name: 'globex' }, spec })
const texts = (...entries: object[]) => entries.map((one) => JSON.stringify(one)).join('\n---\n')

t.test('OSSM exportRules: first match, with aliases', async (t) => {
  const { documents, refused } = converted(
    'ossm',
    set('ExportedServiceSet', {
      exportRules: [
        named({ namespace: 'shop', name: 'cart', alias: { namespace: 'public', name: 'basket' } }),
        named({ namespace: 'shop' }),
      ],
    }),
  )
  const mesh = smallMesh({ services: ['shop/cart', 'shop/pay', 'ops/logs'], documents })
  t.strictSame(refused, [])
  t.strictSame(seenBy(mesh, 'globex'), ['public/basket', 'shop/pay'])
  t.strictSame(seenBy(mesh, 'initech'), [])
})

t.test(
  'OSSM importRules with an alias; suffix, locality and importAsLocal are refused by name',
  async (t) => {
    const { documents, refused } = converted(
      'ossm',
      set('ImportedServiceSet', {
        domainSuffix: 'globex.local',
        locality: { region: 'eu' },
        importRules: [
          {
            ...named({ namespace: 'a', name: 'b', alias: { namespace: 'c' } }),
            importAsLocal: true,
          },
          named({ namespace: 'd' }),
        ],
      }),
    )
    t.strictSame(
      refused.map((one) => one.replace('ImportedServiceSet globex spec.', '')),
      ['domainSuffix', 'locality', 'importRules[0].importAsLocal'],
    )
    const mesh = smallMesh({ offers: { globex: ['a/b', 'd/e', 'f/g'] }, documents })
    t.strictSame(seenOf(mesh, 'globex'), [
      'b.c.svc.globex.mesh.internal',
      'e.d.svc.globex.mesh.internal',
    ])
    t.ok(mayCall(mesh, 'acme.example/ns/x/sa/y', 'd/e', 'globex'), 'identities are exposed too')
  },
)

t.test('the new OSSM federation: an export selector for all, everything imported', async (t) => {
  const { documents, refused } = converted(
    'ossm',
    set('MeshFederation', { export: { serviceSelectors: { matchLabels: { export: 'true' } } } }),
  )
  const mesh = smallMesh({
    services: [['shop/cart', { export: 'true' }], 'shop/pay'],
    offers: { globex: ['market/quotes'] },
    documents,
  })
  t.strictSame(refused, [])
  t.strictSame(seenBy(mesh, 'globex'), ['shop/cart'])
  t.strictSame(seenBy(mesh, 'initech'), ['shop/cart'])
  t.strictSame(seenOf(mesh, 'globex'), ['quotes.market.svc.globex.mesh.internal'])
})

const EXPORTED = {
  Kind: 'exported-services',
  Name: 'default',
  Services: [
    { Name: 'cart', Namespace: 'shop', Consumers: [{ Peer: 'globex' }] },
    { Name: '*', Namespace: 'ops', Consumers: [{ SamenessGroup: 'eu' }] },
  ],
}
const GROUP = {
  Kind: 'sameness-group',
  Name: 'eu',
  DefaultForFailover: true,
  IncludeLocal: true,
  Members: [{ Peer: 'initech' }, { Peer: 'globex' }],
}

t.test(
  'Consul exported-services: names and wildcards for peers and groups, all of theirs imported',
  async (t) => {
    const { documents } = converted('consul', texts(EXPORTED, GROUP))
    const mesh = smallMesh({
      services: ['shop/cart', 'ops/logs'],
      offers: { globex: ['market/quotes'] },
      documents,
    })
    t.strictSame(seenBy(mesh, 'globex'), ['ops/logs', 'shop/cart'])
    t.strictSame(seenBy(mesh, 'initech'), ['ops/logs'])
    t.strictSame(seenOf(mesh, 'globex'), ['quotes.market.svc.globex.mesh.internal'])
  },
)

t.test(
  'Consul intentions for a peer: callers; a specific allow under a wide deny is a narrow allow',
  async (t) => {
    const { documents, refused } = converted(
      'consul',
      texts(EXPORTED, GROUP, {
        Kind: 'service-intentions',
        Name: 'cart',
        Namespace: 'shop',
        Sources: [
          { Name: 'front', Namespace: 'web', Peer: 'globex', Action: 'allow' },
          { Name: '*', Namespace: 'web', Peer: 'globex', Action: 'deny' },
        ],
      }),
    )
    t.strictSame(refused, ['sameness-group eu DefaultForFailover'])
    const mesh = smallMesh({ services: ['shop/cart', 'ops/logs'], documents })
    t.ok(mayCall(mesh, 'globex.example/ns/web/dc/dc1/svc/front', 'shop/cart'))
    t.notOk(mayCall(mesh, 'globex.example/ns/web/dc/dc1/svc/other', 'shop/cart'))
    t.strictSame(seenBy(mesh, 'globex'), ['shop/cart'], 'what nobody may call is not shown')
  },
)

t.test(
  'a Consul sameness group keeps its order; failing over through it is refused by name',
  async (t) => {
    const { documents, refused, details } = converted('consul', texts(EXPORTED, GROUP))
    t.strictSame(refused, ['sameness-group eu DefaultForFailover'])
    t.match(details, [/merging and placement/])
    const mesh = smallMesh({ services: ['ops/logs'], documents })
    t.strictSame(mesh.groups.get('eu')?.members, [
      { kind: 'self' },
      { kind: 'relationship', name: 'initech' },
      { kind: 'relationship', name: 'globex' },
    ])
    t.ok(mayCall(mesh, 'acme.example/ns/a/sa/b', 'ops/logs'), 'the local partition is a member')
  },
)

t.test(
  'MCS: exports to the cluster set, imports from it; the common name is refused',
  async (t) => {
    const metadata = { namespace: 'shop', name: 'cart' }
    const { documents, refused, details } = converted(
      'mcs',
      texts({ kind: 'ServiceExport', metadata }, { kind: 'ServiceImport', metadata }),
      { peers: ['globex', 'initech'] },
    )
    t.strictSame(refused, ['ServiceImport cart'])
    t.match(details, [/cart\.shop\.svc\.clusterset\.local/])
    const mesh = smallMesh({
      services: ['shop/cart', 'shop/pay'],
      offers: { globex: ['shop/cart'], initech: ['shop/cart', 'shop/pay'] },
      documents,
    })
    t.strictSame(seenBy(mesh, 'globex'), ['shop/cart'])
    t.strictSame(
      [...seenOf(mesh, 'globex'), ...seenOf(mesh, 'initech')],
      ['cart.shop.svc.globex.mesh.internal', 'cart.shop.svc.initech.mesh.internal'],
      'each under its own name, never merged',
    )
  },
)
