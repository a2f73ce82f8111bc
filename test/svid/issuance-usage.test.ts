import t, { type Test } from 'tap'
import { setQuotas } from '../../src/access/quota/change-quotas.ts'
import { usageOf } from '../../src/access/quota/usage.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { IssuanceUsage, pruneUsage } from '../../src/svid/issuance-usage.ts'
import { csrOf, type IssuingService, issuingService } from './issuing-service.ts'

interface Metered extends IssuingService {
  readonly usage: IssuanceUsage
  /** Sets the SVIDs a day of the mesh, or of a namespace, as an administrator does. */
  readonly limit: (svidsPerDay: number, namespace?: string) => Promise<void>
  /** Asks by a fresh join token. */
  readonly ask: (path: string) => ReturnType<IssuingService['call']>
}

async function metered(t: Test): Promise<Metered> {
  let usage: IssuanceUsage | undefined
  const service = await issuingService(t, {
    deps: (deps) => ({ ...deps, usage: (usage = new IssuanceUsage(deps.clock)) }),
  })
  if (usage === undefined) throw new Error('no usage')
  const { call, token, meshId, database, clock } = service
  const limit = async (svidsPerDay: number, namespace?: string): Promise<void> => {
    const context = { actor: 'tester', now: clock.now() }
    const owner = { meshId, namespace }
    await inTransaction(database.db, (trx) =>
      setQuotas(trx, owner, { limits: { svidsPerDay }, context, requireVersion: () => undefined }),
    )
  }
  const ask = async (path: string) =>
    call('POST', '/svids/x509', {
      body: { csr: csrOf(generateKeyPair()), token: await token(path) },
    })
  return { ...service, usage, limit, ask }
}

t.test('SVIDs are counted by day and namespace, and added up for all replicas', async (t) => {
  const { ask, usage, meshId, database, clock } = await metered(t)
  const { db } = database
  for (const path of ['/ns/shop/sa/a', '/ns/shop/sa/b', '/ns/pay/sa/a', '/web']) await ask(path)
  const owner = { meshId, namespace: undefined }
  t.same((await usageOf(db, owner, clock.now())).svids, [], 'not on the issuing path')
  await usage.refresh(db)
  const other = new IssuanceUsage(clock)
  other.count({ meshId, spiffeId: 'spiffe://acme.example/ns/shop/sa/c' })
  await other.refresh(db)
  await usage.refresh(db)
  const day = clock.now().toISOString().slice(0, 10)
  t.same((await usageOf(db, owner, clock.now())).svids, [{ day, issued: 5n }])
  const shop = await usageOf(db, { meshId, namespace: 'shop' }, clock.now())
  t.same(shop.svids, [{ day, issued: 3n }])
  t.match(
    shop.counters.find(({ kind }) => kind === 'svidsPerDay'),
    { used: 3n, limit: undefined },
  )
  await clock.advance(86_400_000)
  usage.count({ meshId, spiffeId: 'spiffe://acme.example/ns/shop/sa/a' })
  await usage.refresh(db)
  const later = await usageOf(db, { meshId, namespace: 'shop' }, clock.now())
  t.same(
    later.svids.map(({ issued }) => issued),
    [1n, 3n],
  )
  await pruneUsage(db, new Date(clock.now().getTime() + 400 * 86_400_000))
  const kept = await db.selectFrom('svid_usage').select('issued').execute()
  t.same(kept, [{ issued: 1n }])
})

t.test(
  'over its quota a tenant grows no more; who is there renews, and others are untouched',
  async (t) => {
    const { ask, call, join, usage, limit, database } = await metered(t)
    const first = await join('/ns/shop/sa/a')
    await limit(2, 'shop')
    await usage.refresh(database.db)
    t.equal((await ask('/ns/shop/sa/b')).status, 200)
    const refused = await ask('/ns/shop/sa/c')
    t.match(refused, {
      status: 409,
      body: {
        code: 'QUOTA_EXCEEDED',
        detail: 'the quota svidsPerDay of namespace shop of mesh acme is used up: found 2, limit 2',
        next: /a mesh-admin can raise it: entente quota set svidsPerDay=3 --namespace shop/,
      },
    })
    t.equal((await ask('/ns/pay/sa/a')).status, 200, 'another namespace')
    t.equal((await ask('/web')).status, 200, 'an identity in no namespace')
    const csr = csrOf(generateKeyPair())
    const renewed = await call('POST', '/svids/x509', { as: first, body: { csr } })
    t.equal(renewed.status, 200, 'renewal')
    const jwt = await call('POST', '/svids/jwt', { as: first, body: { audience: ['x'] } })
    t.equal(jwt.status, 200, 'JWT-SVID of a workload that is there')
    await limit(3)
    await usage.refresh(database.db)
    t.match(await ask('/web2'), {
      body: { detail: /svidsPerDay of mesh acme .* found 6, limit 3/ },
    })
  },
)

t.test('a refusal leaves the join token as good as it was', async (t) => {
  const { call, token, usage, limit, database } = await metered(t)
  await limit(0)
  await usage.refresh(database.db)
  const body = { csr: csrOf(generateKeyPair()), token: await token('/ns/shop/sa/a') }
  t.equal((await call('POST', '/svids/x509', { body })).status, 409)
  await limit(1)
  t.equal((await call('POST', '/svids/x509', { body })).status, 409, 'known within ten seconds')
  await usage.refresh(database.db)
  t.equal((await call('POST', '/svids/x509', { body })).status, 200)
})

t.test('counts that could not be stored are kept, and a new day begins at nothing', async (t) => {
  const { usage, limit, meshId, database, clock } = await metered(t)
  const one = { meshId, spiffeId: 'spiffe://acme.example/ns/shop/sa/a' }
  usage.count(one)
  await t.rejects(usage.refresh({} as never))
  await limit(1)
  await usage.refresh(database.db)
  t.throws(() => usage.requireRoom(one), { code: 'QUOTA_EXCEEDED', message: /found 1, limit 1/ })
  await clock.advance(86_400_000)
  t.doesNotThrow(() => usage.requireRoom(one))
})
