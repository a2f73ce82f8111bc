import t, { type Test } from 'tap'
import { endServicesOfCluster, servicesOfCluster } from '../../src/catalog/cluster-services.ts'
import { syncRoutes } from '../../src/catalog/sync-routes.ts'
import { serviceRoutes } from '../../src/catalog/routes.ts'
import { type Db, inTransaction } from '../../src/db/connect.ts'
import { parseMeshId } from '../../src/db/ids.ts'
import { databaseNow } from '../../src/db/time.ts'
import { adminApp } from '../support/admin-app.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'

const SERVICES = '/v1/meshes/acme/services'
const at = (cluster: string): string => `/v1/meshes/acme/clusters/${cluster}/services`

/** The routes of services on a database with the mesh acme and its clusters east and west. */
const catalogue = async (t: Test) => {
  const admin = await adminApp(t, {
    mount: (v1, db) => {
      v1.register(serviceRoutes, { db, now: databaseNow })
      v1.register(syncRoutes, { db, now: databaseNow })
    },
  })
  const { db } = admin.database
  await makeMesh(db, testKeyring())
  for (const name of ['east', 'west']) await addCluster(db, name)
  const list = async (): Promise<Listed[]> =>
    (await admin.call('GET', `${SERVICES}?limit=500`)).body.items
  return { ...admin, db, list }
}

interface Listed {
  readonly namespace: string
  readonly name: string
  readonly ports: { readonly name: string }[]
  readonly identities: string[]
  readonly labels: Record<string, string>
  readonly managedBy: string[]
  readonly version: string
}

async function addCluster(db: Db, name: string): Promise<void> {
  await db
    .insertInto('cluster')
    .values({
      mesh_id: parseMeshId('acme'),
      name,
      role: 'primary',
      region: null,
      zone: null,
      state: 'active',
      issuing: 'managed',
      created_at: new Date(),
    })
    .execute()
}

const service = (name: string, more: object = {}) => ({
  namespace: 'shop',
  name,
  ports: [{ name: 'http', port: 80, protocol: 'http' }],
  identities: [`/ns/shop/sa/${name}`],
  labels: { app: name },
  ...more,
})
const body = (services: object[], more: object = {}) => ({
  body: { source: 'k8s', services, ...more },
})
const names = (services: readonly Listed[]): string[] =>
  services.map(({ name, managedBy }) => `${name} ${managedBy.join('+')}`)

t.test(
  'a sync makes, changes and deletes what it keeps, and a second one changes nothing',
  async (t) => {
    const { call, list, db } = await catalogue(t)
    const first = await call('PUT', at('east'), body([service('a'), service('b'), service('c')]))
    t.match(first, { status: 200, body: { created: ['shop/a', 'shop/b', 'shop/c'] } })
    const again = await call('PUT', at('east'), body([service('a'), service('b'), service('c')]))
    t.match(again.body, { createdCount: 0, updatedCount: 0, deletedCount: 0, unchangedCount: 3 })
    t.same(
      (await list()).map(({ version }) => version),
      ['1', '1', '1'],
    )
    const grpc = { ports: [{ name: 'grpc', port: 9000 }], labels: { tier: 'x' } }
    const changed = await call('PUT', at('east'), body([service('a', grpc), service('b')]))
    t.match(changed.body, { updated: ['shop/a'], deleted: ['shop/c'], unchangedCount: 1 })
    const [a] = await list()
    t.match(a, { ports: [{ name: 'grpc' }], labels: { tier: 'x' }, version: '2' })
    t.same(names(await list()), ['a k8s:east', 'b k8s:east'])
    const records = await db
      .selectFrom('audit_record')
      .select('body')
      .where('action', '=', 'service.sync')
      .orderBy('id')
      .execute()
    t.equal(records.length, 2, 'one for each sync that changed something')
    const told = records.map(({ body: bytes }) => JSON.parse(Buffer.from(bytes).toString()).body)
    const created = told.find(({ changes }) => changes.length === 3)
    t.match(created.changes[0], {
      service: 'shop/a',
      after: { identities: ['spiffe://acme.example/ns/shop/sa/a'] },
    })
  },
)

t.test(
  'a name that two clusters have is one service, and goes with the last of them',
  async (t) => {
    const { call, list } = await catalogue(t)
    await call('PUT', at('east'), body([service('cart', { labels: { app: 'cart', v: '1' } })]))
    const metrics = { name: 'metrics', port: 9090 }
    const http = { name: 'http', port: 8080 }
    const theirs = {
      ports: [http, metrics],
      identities: ['/ns/shop/sa/cart-west'],
      labels: { v: '2', w: 'x' },
    }
    const west = await call('PUT', at('west'), body([service('cart', theirs)]))
    t.match(west.body, { createdCount: 0, updated: ['shop/cart'] })
    const [merged] = await list()
    t.same(merged?.managedBy, ['k8s:east', 'k8s:west'])
    t.same(
      merged?.ports,
      [{ name: 'http', port: 80, protocol: 'http' }, metrics],
      'the union, and of two that differ the older',
    )
    t.equal(merged?.identities.length, 2)
    t.same(merged?.labels, { app: 'cart', v: '1', w: 'x' })
    const quiet = await call(
      'PUT',
      at('east'),
      body([service('cart', { labels: { app: 'cart', v: '1' } })]),
    )
    t.match(quiet.body, { updatedCount: 0, unchangedCount: 1 }, 'the two do not undo each other')
    t.match((await call('PUT', at('east'), body([]))).body, { deletedCount: 0, updatedCount: 1 })
    t.same(
      (await list()).map(({ identities, managedBy }) => [identities, managedBy]),
      [[['spiffe://acme.example/ns/shop/sa/cart-west'], ['k8s:west']]],
    )
    t.match((await call('PUT', at('west'), body([]))).body, { deleted: ['shop/cart'] })
    t.same(await list(), [])
  },
)

t.test(
  'what people entered is left alone, and what a sync keeps people do not change',
  async (t) => {
    const { call, list } = await catalogue(t)
    await call('POST', SERVICES, { body: service('cart') })
    const synced = await call(
      'PUT',
      at('east'),
      body([service('cart', { labels: {} }), service('b')]),
    )
    t.match(synced.body, { created: ['shop/b'], keptByPeople: ['shop/cart'], keptByPeopleCount: 1 })
    t.same(names(await list()), ['b k8s:east', 'cart '])
    const change = await call('PATCH', `${SERVICES}/shop/b`, { body: { labels: { a: 'b' } } })
    t.match(change, {
      status: 409,
      body: { code: 'CONFLICT', detail: /kept up to date by k8s:east/ },
    })
    t.match((await call('PUT', at('east'), body([]))).body, { deleted: ['shop/b'] })
    t.same(names(await list()), ['cart '])
  },
)

t.test(
  'a service that is seen without its pods stays, and other namespaces are not spoken of',
  async (t) => {
    const { call, list } = await catalogue(t)
    const other = service('x', { namespace: 'pay' })
    await call('PUT', at('east'), body([service('a'), service('b'), other]))
    const kept = [{ namespace: 'shop', name: 'b' }]
    const synced = await call(
      'PUT',
      at('east'),
      body([service('a')], { kept, namespaces: ['shop'] }),
    )
    t.match(synced.body, { deletedCount: 0, unchangedCount: 1 })
    t.equal((await list()).length, 3)
    const outside = await call('PUT', at('east'), body([other], { namespaces: ['shop'] }))
    t.match(outside, { status: 422, body: { errors: [{ pointer: '/services/0/namespace' }] } })
  },
)

t.test(
  'a list that shrinks to less than half must say that it means it; a dry run only tells',
  async (t) => {
    const { call, list } = await catalogue(t)
    const many = Array.from({ length: 12 }, (_, i) => service(`s${i}`))
    const dry = await call('PUT', `${at('east')}?dryRun=true`, body(many))
    t.match(dry.body, { createdCount: 12 })
    t.same(await list(), [])
    await call('PUT', at('east'), body(many))
    const less = await call('PUT', at('east'), body(many.slice(0, 5)))
    t.match(less, { status: 409, body: { code: 'REPORT_SHRINKS', next: /--intentional/ } })
    t.equal((await list()).length, 12)
    const meant = await call('PUT', at('east'), body(many.slice(0, 5), { intentional: true }))
    t.equal(meant.body.deletedCount, 7)
  },
)

t.test('a wrong list is refused whole, with every wrong field named', async (t) => {
  const { call, list } = await catalogue(t)
  const wrong = [
    service('ok'),
    service('Bad'),
    service('c', { identities: ['spiffe://globex.example/x'] }),
    service('ok'),
    service('d', { labels: { 'no key!': 'x' } }),
  ]
  const refused = await call('PUT', at('east'), body(wrong))
  t.match(refused, { status: 422, body: { code: 'SERVICE_INVALID' } })
  t.same(
    refused.body.errors.map((one: { pointer: string }) => one.pointer),
    ['/services/1/name', '/services/2/identities/0', '/services/3', '/services/4/labels/no key!'],
  )
  t.equal((await call('PUT', at('nowhere'), body([]))).status, 404)
  t.equal((await call('PUT', at('east'), { body: { source: 'people', services: [] } })).status, 400)
  t.same(await list(), [])
})

t.test('a cluster that ends takes along what only it had', async (t) => {
  const { call, list, db } = await catalogue(t)
  await call('POST', SERVICES, { body: service('mine') })
  await call('PUT', at('east'), body([service('a'), service('b')]))
  await call('PUT', at('west'), body([service('b')]))
  const target = { kind: 'cluster', meshId: parseMeshId('acme'), name: 'east' } as const
  t.match(await servicesOfCluster(db, target), [{ kind: 'service', name: '2 services' }])
  t.same(await servicesOfCluster(db, { ...target, kind: 'network' }), [])
  const context = { actor: 'tester', now: new Date() }
  await inTransaction(db, (trx) => endServicesOfCluster(trx, target, context))
  t.same(names(await list()), ['b k8s:west', 'mine '])
  t.same(await servicesOfCluster(db, target), [])
})

t.test('ten thousand services are one transaction', async (t) => {
  const { call, db } = await catalogue(t)
  const many = Array.from({ length: 10_000 }, (_, i) =>
    service(`s${i}`, { namespace: `ns-${i % 100}` }),
  )
  const began = performance.now()
  t.match((await call('PUT', at('east'), body(many))).body, { createdCount: 10_000 })
  const between = performance.now()
  t.match((await call('PUT', at('east'), body(many))).body, { unchangedCount: 10_000 })
  t.comment(
    `10,000 services: first ${Math.round(between - began)} ms, the same again ${Math.round(performance.now() - between)} ms`,
  )
  const logged = await db.selectFrom('policy_change').select('kind').execute()
  t.equal(logged.filter(({ kind }) => kind === 'all').length, 1, 'the change is announced once')
})
