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
  const unknown = await call('POST', '/meshes/acme/services', { body: { ...cart, labels: {} } })
  t.match(unknown, { status: 400, body: { errors: [{ pointer: '/labels' }] } })
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
