import t from 'tap'
import { addMesh, addRelationship, policyApp, setState } from '../policy/policy-app.ts'

const cart = {
  namespace: 'shop',
  name: 'cart',
  ports: [{ name: 'http', port: 8080, protocol: 'http2' }],
  identities: ['/ns/shop/sa/cart'],
}

t.test('a service is made, read, changed and deleted, each in the audit log', async (t) => {
  const { db, clock, call } = await policyApp(t)
  await addMesh(db, 'acme', clock.db)
  const made = await call('POST', '/meshes/acme/services', { body: cart })
  t.equal(made.status, 201)
  t.equal(made.headers['location'], '/v1/meshes/acme/services/shop/cart')
  t.same(made.body.identities, ['spiffe://acme.example/ns/shop/sa/cart'])
  t.match(made.body.next[0], 'entente rule export shop/cart')

  const read = await call('GET', '/meshes/acme/services/shop/cart')
  t.equal(read.headers['etag'], '"v1"')
  t.same(read.body.ports, cart.ports)

  const patch = { body: { ports: [{ name: 'grpc', port: 9000 }] }, ifMatch: '"v1"' }
  const changed = await call('PATCH', '/meshes/acme/services/shop/cart', patch)
  t.equal(changed.headers['etag'], '"v2"')
  t.same(changed.body.identities, made.body.identities, 'what was not named stays')
  t.equal((await call('PATCH', '/meshes/acme/services/shop/cart', patch)).status, 412)

  t.equal((await call('DELETE', '/meshes/acme/services/shop/cart')).status, 200)
  t.equal((await call('GET', '/meshes/acme/services/shop/cart')).status, 404)
  const records = await db
    .selectFrom('audit_record')
    .select(['action', 'object', 'actor'])
    .orderBy('id')
    .execute()
  t.same(
    records
      .filter(({ object }) => object === 'service/shop/cart')
      .map(({ action, actor }) => `${actor} ${action}`),
    ['tester service.create', 'tester service.update', 'tester service.delete'],
  )
})

t.test('a name is taken once, and a refused service names each wrong field', async (t) => {
  const { db, clock, call } = await policyApp(t)
  await addMesh(db, 'acme', clock.db)
  await call('POST', '/meshes/acme/services', { body: cart })
  const again = await call('POST', '/meshes/acme/services', { body: cart })
  t.match(again, { status: 409, body: { code: 'ALREADY_EXISTS' } })
  const wrong = { ...cart, name: 'Cart', identities: ['spiffe://globex.example/web'] }
  const refused = await call('POST', '/meshes/acme/services', { body: wrong })
  t.match(refused, { status: 422, body: { code: 'SERVICE_INVALID' } })
  t.same(
    refused.body.errors.map((one: { pointer: string }) => one.pointer),
    ['/name', '/identities/0'],
  )
  const unknown = await call('POST', '/meshes/acme/services', { body: { ...cart, odd: {} } })
  t.match(unknown, { status: 400, body: { errors: [{ pointer: '/odd' }] } })
  t.equal((await call('POST', '/meshes/nobody/services', { body: cart })).status, 404)
})

t.test('a dry run answers with the effect and changes nothing, also no audit', async (t) => {
  const { db, clock, call } = await policyApp(t)
  await addMesh(db, 'acme', clock.db)
  const before = await db.selectFrom('audit_record').select('id').execute()
  const dry = await call('POST', '/meshes/acme/services?dryRun=true', { body: cart })
  t.equal(dry.status, 200)
  t.equal(dry.body.name, 'cart')
  t.same((await call('GET', '/meshes/acme/services')).body, { items: [], nextCursor: null })
  t.equal((await db.selectFrom('audit_record').select('id').execute()).length, before.length)
})

t.test('lists page by namespace and name without repeating or hiding any', async (t) => {
  const { db, clock, call } = await policyApp(t)
  await addMesh(db, 'acme', clock.db)
  const names = ['b/a', 'a/b', 'a/a', 'c/z', 'c/a']
  for (const title of names) {
    const [namespace, name] = title.split('/')
    await call('POST', '/meshes/acme/services', { body: { ...cart, namespace, name } })
  }
  const seen: string[] = []
  let cursor = ''
  do {
    const { body } = await call('GET', `/meshes/acme/services?limit=2${cursor}`)
    seen.push(...body.items.map((one: typeof cart) => `${one.namespace}/${one.name}`))
    cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`
  } while (cursor !== '')
  t.same(seen, names.toSorted())
  const ofC = await call('GET', '/meshes/acme/services?namespace=c')
  t.same(
    ofC.body.items.map((one: typeof cart) => one.name),
    ['a', 'z'],
  )
  t.equal((await call('GET', '/meshes/acme/services?cursor=x')).status, 400)
})

t.test('an offer is entered by hand for a relationship that has not ended', async (t) => {
  const { db, clock, call } = await policyApp(t)
  const acme = await addMesh(db, 'acme', clock.db)
  await addRelationship(db, acme, { name: 'globex' })
  const at = '/meshes/acme/relationships/globex/offers'
  const made = await call('POST', at, { body: cart })
  t.match(made, { status: 201, body: { relationship: 'globex', source: 'manual' } })
  t.same(
    made.body.identities,
    ['spiffe://globex.example/ns/shop/sa/cart'],
    "a path stands in the peer's domain",
  )
  t.equal(made.body.next[0], 'entente rule import shop/cart --from globex')
  t.match(await call('POST', at, { body: cart }), { status: 409, body: { code: 'ALREADY_EXISTS' } })
  const posing = { ...cart, name: 'x', identities: ['spiffe://acme.example/web'] }
  t.match(await call('POST', at, { body: posing }), {
    status: 422,
    body: { code: 'SERVICE_INVALID' },
  })

  t.equal((await call('DELETE', `${at}/shop/cart`)).status, 200)
  t.equal((await call('DELETE', `${at}/shop/cart`)).status, 404)
  await setState(db, acme, 'globex', 'terminated')
  t.match(await call('POST', at, { body: cart }), { status: 409, body: { code: 'CONFLICT' } })
  t.equal(
    (await call('POST', '/meshes/acme/relationships/nobody/offers', { body: cart })).status,
    404,
  )
})

t.test('an offer is no service of ours', async (t) => {
  const { db, clock, call } = await policyApp(t)
  const acme = await addMesh(db, 'acme', clock.db)
  await addRelationship(db, acme, { name: 'globex' })
  await call('POST', '/meshes/acme/relationships/globex/offers', { body: cart })
  t.same((await call('GET', '/meshes/acme/services')).body.items, [])
})

t.test(
  'labels are those of Kubernetes; a change sets some, takes some away and keeps the rest',
  async (t) => {
    const { db, clock, call } = await policyApp(t)
    await addMesh(db, 'acme', clock.db)
    const labels = { tier: 'front', 'example.com/team': 'shop', constructor: '' }
    const made = await call('POST', '/meshes/acme/services', { body: { ...cart, labels } })
    t.same(made.body.labels, { constructor: '', 'example.com/team': 'shop', tier: 'front' })
    t.same(made.body.managedBy, [], 'people keep it')
    const change = { labels: { tier: null, stage: 'canary', gone: null } }
    const changed = await call('PATCH', '/meshes/acme/services/shop/cart', { body: change })
    t.same(changed.body.labels, { constructor: '', 'example.com/team': 'shop', stage: 'canary' })
    t.same(changed.body.ports, cart.ports)
    const record = await db
      .selectFrom('audit_record')
      .select('body')
      .where('action', '=', 'service.update')
      .executeTakeFirstOrThrow()
    const { before, after } = JSON.parse(Buffer.from(record.body).toString()).body
    t.same([before.labels.tier, after.labels.stage], ['front', 'canary'])
  },
)

t.test('labels that Kubernetes would refuse are refused, each by its name', async (t) => {
  const { db, clock, call } = await policyApp(t)
  await addMesh(db, 'acme', clock.db)
  const wrong = {
    '-a': 'x',
    'UPPER.example/a': 'x',
    '/a': 'x',
    'a/b/c': 'x',
    ok: 'not ok',
    fine: 'trailing-',
  }
  const refused = await call('POST', '/meshes/acme/services', { body: { ...cart, labels: wrong } })
  t.match(refused, { status: 422, body: { code: 'SERVICE_INVALID' } })
  t.same(
    refused.body.errors.map((one: { pointer: string }) => one.pointer),
    ['-a', 'UPPER.example~1a', '~1a', 'a~1b~1c', 'ok', 'fine'].map((key) => `/labels/${key}`),
  )
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, 'x']))
  const full = await call('POST', '/meshes/acme/services', { body: { ...cart, labels: many } })
  t.equal(full.status, 400)
  const own = '{"__proto__": "x"}'
  const odd = await call('POST', '/meshes/acme/services', {
    body: { ...cart, labels: JSON.parse(own) as object },
  })
  t.ok(odd.status >= 400, 'no label is called __proto__')
})

t.test(
  "an offer holds the gateways of the peer's mesh, and none that nobody could reach",
  async (t) => {
    const { db, clock, call } = await policyApp(t)
    const acme = await addMesh(db, 'acme', clock.db)
    await addRelationship(db, acme, { name: 'globex' })
    const at = '/meshes/acme/relationships/globex/offers'
    const gateways = [
      { address: 'gw.globex.example', port: 15443, region: 'eu', zone: 'eu-1', weight: 3 },
      { address: '203.0.113.7', port: 15443 },
      { address: '2001:db8::7', port: 15443 },
    ]
    const made = await call('POST', at, { body: { ...cart, labels: { tier: 'front' }, gateways } })
    t.match(made, { status: 201, body: { gateways, labels: { tier: 'front' } } })
    const [listed] = (await call('GET', at)).body.items
    t.same([listed.gateways, listed.labels], [gateways, { tier: 'front' }])
    const addresses = ['127.0.0.1', '0.0.0.0', '::1', '::ffff:127.0.0.1', '169.254.169.254']
    const wrong = [
      ...addresses,
      'fe80::1%eth0',
      'no host',
      '-a.example',
      '10.0.0.300',
      'gw.example',
    ]
    const refused = await call('POST', at, {
      body: {
        ...cart,
        name: 'other',
        gateways: [
          ...wrong.map((address) => ({ address, port: 1 })),
          { address: 'gw.example', port: 1 },
          { address: 'gw.example', port: 2, zone: 'z' },
        ],
      },
    })
    t.equal(refused.status, 422)
    t.same(
      refused.body.errors.map((one: { pointer: string }) => one.pointer),
      [
        ...wrong.slice(0, -1).map((_, index) => `/gateways/${index}/address`),
        `/gateways/${wrong.length}`,
        `/gateways/${wrong.length + 1}/zone`,
      ],
    )
  },
)
