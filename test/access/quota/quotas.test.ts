import t, { type Test } from 'tap'
import { requireQuota } from '../../../src/access/quota/require-quota.ts'
import { namespaceOfId } from '../../../src/access/quota/quota.ts'
import { serviceRoutes } from '../../../src/catalog/routes.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { databaseNow } from '../../../src/db/time.ts'
import { addMesh } from '../../policy/policy-app.ts'
import { type AdminApp, adminApp } from '../../support/admin-app.ts'

const ACME = parseMeshId('acme')

/** An admin listener with the catalogue of two meshes. */
async function catalogue(t: Test): Promise<AdminApp> {
  const app = await adminApp(t, {
    mount: (v1, db) => void v1.register(serviceRoutes, { db, now: databaseNow }),
  })
  for (const mesh of ['acme', 'globex']) await addMesh(app.database.db, mesh, databaseNow)
  return app
}

function serviceOf(namespace: string, name: string) {
  return { namespace, name, ports: [{ name: 'http', port: 80 }], identities: ['/ns/x/sa/y'] }
}

t.test(
  'what goes over a quota is refused with quota, found, limit and who can raise it',
  async (t) => {
    const { call } = await catalogue(t)
    const make = async (namespace: string, name: string, mesh = 'acme') =>
      call('POST', `/v1/meshes/${mesh}/services`, { body: serviceOf(namespace, name) })
    t.equal((await make('shop', 'a')).status, 201)
    const set = await call('PUT', '/v1/meshes/acme/quotas', { body: { services: 3 } })
    t.match(set, { status: 200, body: { namespace: null, limits: { services: 3 } } })
    t.equal(
      (await call('PUT', '/v1/meshes/acme/quotas/shop', { body: { services: 2 } })).status,
      200,
    )
    t.equal((await make('shop', 'b')).status, 201)
    t.match(await make('shop', 'c'), {
      status: 409,
      body: {
        code: 'QUOTA_EXCEEDED',
        detail: 'the quota services of namespace shop of mesh acme is used up: found 2, limit 2',
        next: /^a mesh-admin can raise it: entente quota set services=3 --namespace shop --mesh acme/,
      },
    })
    t.equal((await make('pay', 'a')).status, 201)
    t.match(await make('pay', 'b'), {
      status: 409,
      body: {
        detail: /services of mesh acme is used up: found 3, limit 3/,
        next: /^a platform-admin/,
      },
    })
    t.equal((await make('shop', 'a', 'globex')).status, 201, 'another mesh is another tenant')
    t.equal((await call('DELETE', '/v1/meshes/acme/services/shop/b')).status, 200)
    t.equal((await make('shop', 'c')).status, 201, 'what went leaves room')
  },
)

t.test('usage counts each namespace by itself, and shows what is left without limit', async (t) => {
  const { call } = await catalogue(t)
  for (const [namespace, name] of [
    ['shop', 'a'],
    ['shop', 'b'],
    ['pay', 'a'],
  ] as const) {
    await call('POST', '/v1/meshes/acme/services', { body: serviceOf(namespace, name) })
  }
  await call('PUT', '/v1/meshes/acme/quotas/shop', { body: { services: 5, rules: 0 } })
  const whole = await call('GET', '/v1/meshes/acme/usage')
  t.match(whole.body, {
    namespace: null,
    counters: [
      { kind: 'services', used: '3', limit: null },
      { kind: 'rules', used: '1' },
      { kind: 'relationships', used: '0' },
      { kind: 'entries', used: '0' },
      { kind: 'svidsPerDay', used: '0' },
      { kind: 'endpoints', used: '0', limit: null },
    ],
    svids: [],
  })
  const shop = (await call('GET', '/v1/meshes/acme/usage?namespace=shop')).body
  t.match(shop.counters[0], { kind: 'services', used: '2', limit: 5 })
  t.match(shop.counters[1], { kind: 'rules', used: '0', limit: 0 })
  t.notOk(shop.counters.some(({ kind }: { kind: string }) => kind === 'relationships'))
  t.equal((await call('GET', '/v1/meshes/nowhere/usage')).status, 404)
})

t.test('a platform-admin sets what a mesh may have, its mesh-admin divides it', async (t) => {
  const { call, database } = await catalogue(t)
  const tokenFor = async (label: string, grant: object): Promise<string> =>
    (await call('POST', '/v1/api-tokens', { body: { label, ...grant } })).body.token
  const admin = await tokenFor('admin2', { meshId: 'acme' })
  const shop = await tokenFor('shop', { meshId: 'acme', namespaces: ['shop'] })
  const put = async (path: string, body: object, token: string) =>
    call('PUT', `/v1/meshes/acme/quotas${path}`, { body, token })
  t.equal((await put('', { services: 9 }, admin)).status, 403)
  await call('PUT', '/v1/meshes/acme/quotas', { body: { services: 5, entries: 7 } })
  t.match(await put('/shop', { services: 6 }, admin), {
    status: 400,
    body: { detail: /services=6 of namespace shop goes beyond the mesh's own 5/ },
  })
  t.equal((await put('/shop', { services: 5, rules: 99 }, admin)).status, 200)
  t.equal((await put('/pay', { services: 5 }, admin)).status, 200, 'together more than the mesh')
  t.equal((await put('/shop', { relationships: 1 }, admin)).status, 400, 'those are the mesh’s')
  t.equal((await put('/shop', { services: 1 }, shop)).status, 403)
  const dry = await call('PUT', '/v1/meshes/acme/quotas/shop?dryRun=true', { body: {} })
  t.equal(dry.status, 200)
  const all = (await call('GET', '/v1/meshes/acme/quotas', { token: admin })).body
  t.match(all.items, [
    { namespace: null, limits: { services: 5, entries: 7 } },
    { namespace: 'pay', limits: { services: 5 } },
    { namespace: 'shop', limits: { services: 5, rules: 99 } },
  ])
  const mine = await call('GET', '/v1/meshes/acme/quotas', { token: shop })
  t.same(mine.body.items, [all.items[2]], 'a developer sees the own namespace, and no totals')
  t.equal((await call('GET', '/v1/meshes/acme/usage?namespace=shop', { token: shop })).status, 200)
  for (const query of ['', '?namespace=pay', '?namespace=nowhere']) {
    t.equal((await call('GET', `/v1/meshes/acme/usage${query}`, { token: shop })).status, 403)
  }
  t.equal((await call('GET', '/v1/meshes/globex/usage', { token: admin })).status, 403)
  t.match(await call('PUT', '/v1/meshes/acme/quotas/shop', { body: {} }), { body: { limits: {} } })
  const left = await database.db.selectFrom('quota').select('namespace').distinct().execute()
  t.same(new Set(left.map(({ namespace }) => namespace)), new Set(['', 'pay']))
})

t.test('quotas have a version, and a change of others than were read is refused', async (t) => {
  const { call } = await catalogue(t)
  const shop = '/v1/meshes/acme/quotas/shop'
  const put = async (path: string, body: object, ifMatch?: string | null) =>
    call('PUT', path, { body, headers: typeof ifMatch === 'string' ? { 'if-match': ifMatch } : {} })
  const none = await call('GET', shop)
  t.match(none.body, { namespace: 'shop', limits: {} }, 'nobody has to have set any')
  const first = await put(shop, { services: 5, rules: 2 }, none.headers.get('etag'))
  t.equal(first.status, 200)
  const read = await call('GET', shop)
  t.match(read.body, { limits: { services: 5, rules: 2 } })
  t.equal(read.headers.get('etag'), `"v${read.body.version}"`)
  t.equal(read.headers.get('etag'), first.headers.get('etag'))
  t.equal((await put(shop, { rules: 2, services: 6 }, read.headers.get('etag'))).status, 200)
  t.match(await put(shop, { services: 7 }, read.headers.get('etag')), {
    status: 412,
    body: { code: 'PRECONDITION_FAILED' },
  })
  t.same((await call('GET', shop)).body.limits, { services: 6, rules: 2 })
  t.equal((await put(shop, { services: 8 })).status, 200, 'without a version it is on any')
  const mesh = '/v1/meshes/acme/quotas'
  await put(mesh, { services: 90 })
  const [ofMesh] = (await call('GET', mesh)).body.items
  t.equal((await put(mesh, { services: 91 }, `"v${ofMesh.version}"`)).status, 200)
  t.equal((await put(mesh, { services: 92 }, `"v${ofMesh.version}"`)).status, 412)
  t.equal((await call('GET', '/v1/meshes/nowhere/quotas/shop')).status, 404)
  const grant = { label: 'pay', meshId: 'acme', namespaces: ['pay'] }
  const { token } = (await call('POST', '/v1/api-tokens', { body: grant })).body
  t.equal((await call('GET', shop, { token })).status, 403)
  t.equal((await call('GET', `${mesh}/pay`, { token })).status, 200)
})

t.test('of writers at once no more pass than the quota has room for', async (t) => {
  const { call } = await catalogue(t)
  await call('PUT', '/v1/meshes/acme/quotas', { body: { services: 3 } })
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      call('POST', '/v1/meshes/acme/services', { body: serviceOf('shop', `s${i}`) }),
    ),
  )
  const made = answers.filter(({ status }) => status === 201)
  t.equal(made.length, 3)
  t.ok(answers.every(({ status, body }) => status === 201 || body.code === 'QUOTA_EXCEEDED'))
  t.equal((await call('GET', '/v1/meshes/acme/services')).body.items.length, 3)
})

t.test(
  'several at once need room for all, and count in each namespace that they lie in',
  async (t) => {
    const { call, database } = await catalogue(t)
    await call('PUT', '/v1/meshes/acme/quotas/pay', { body: { rules: 1 } })
    const ask = (count: number, namespaces: string[]) =>
      inTransaction(database.db, (trx) =>
        requireQuota(trx, ACME, { kind: 'rules', namespaces, count }),
      )
    await ask(1, ['pay', 'shop'])
    await ask(9, ['shop'])
    await t.rejects(ask(3, ['shop', 'pay', 'pay']), {
      code: 'QUOTA_EXCEEDED',
      message: /namespace pay/,
    })
  },
)

t.test('an identity lies in the namespace that its path begins with', async (t) => {
  for (const [id, namespace] of [
    ['spiffe://acme.example/ns/shop/sa/cart', 'shop'],
    ['spiffe://acme.example/ns/shop/', 'shop'],
    ['spiffe://acme.example/ns/shop', undefined],
    ['spiffe://acme.example/ns//sa', undefined],
    ['spiffe://acme.example/nsx/shop/a', undefined],
    ['spiffe://acme.example/x/ns/shop/a', undefined],
    ['spiffe://acme.example', undefined],
  ] as const) {
    t.equal(namespaceOfId(id), namespace, id)
  }
})
