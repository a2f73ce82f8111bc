import t, { type Test } from 'tap'
import { CurrentBundles } from '../../src/bundle/current.ts'
import { publishBundle } from '../../src/bundle/publish.ts'
import { ReaderCounts } from '../../src/bundle/reader-counts.ts'
import { createReader } from '../../src/bundle/readers.ts'
import { type Db, inTransaction } from '../../src/db/connect.ts'
import type { MeshId } from '../../src/db/ids.ts'
import { ServiceError } from '../../src/errors.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { testClock } from '../support/clock.ts'
import { quiet, testDatabase } from '../support/database.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'
import { untilTrue } from '../support/until.ts'

const ACME = parseTrustDomain('acme.example')

// A database that can be made to fail, and changes that are told by hand.
async function bench(t: Test) {
  const database = await testDatabase(t)
  const clock = testClock(new Date())
  const state = { away: false, silentMs: 0 }
  const watchers: ((meshId: MeshId) => void)[] = []
  const db: Db = new Proxy(database.db, {
    get: (target, name, receiver) => {
      if (state.away) throw new ServiceError('DATABASE_UNAVAILABLE', 'away')
      const value: unknown = Reflect.get(target, name, receiver)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const changes = {
    on: (topic: string, watcher: (meshId: MeshId) => void) => {
      if (topic === 'bundle') watchers.push(watcher)
    },
    get silentMs() {
      return state.silentMs
    },
  }
  const made = await makeMesh(database.db, testKeyring())
  const options = { db, changes, clock, log: quiet, staleSeconds: 60, replicaId: 'one' }
  const bundles = new CurrentBundles(options)
  t.teardown(() => bundles.stop())
  await bundles.start()
  const publish = (hintSeconds: number) =>
    inTransaction(database.db, (trx) =>
      publishBundle(trx, made.mesh.meshId, {
        trustDomain: ACME,
        x509Authorities: [],
        jwtAuthorities: [],
        hintSeconds,
        cause: 'test',
        context: { actor: 'test', now: new Date() },
      }),
    )
  const tell = (): void => watchers.forEach((watcher) => watcher(made.mesh.meshId))
  return { ...made, database, clock, state, bundles, publish, tell, options }
}

const hintOf = async (bundles: CurrentBundles): Promise<number | undefined> =>
  (await bundles.fresh(ACME))?.hintSeconds

t.test('FE-11 a change that is heard is served', async (t) => {
  const { bundles, publish, tell } = await bench(t)
  t.equal(await hintOf(bundles), 300)
  await publish(60)
  t.equal(await hintOf(bundles), 300, 'not heard of yet')
  tell()
  await untilTrue(async () => (await hintOf(bundles)) === 60)
  t.equal(await bundles.fresh(parseTrustDomain('other.example')), undefined)
})

t.test(
  'FE-11 after a second of silence the bundle is read again before it is served',
  async (t) => {
    const { bundles, publish, state } = await bench(t)
    await publish(60)
    state.silentMs = 1300
    t.equal(await hintOf(bundles), 60)
  },
)

t.test('while the database is away memory is served for staleSeconds, then 503', async (t) => {
  const { bundles, state, clock, publish } = await bench(t)
  await publish(60)
  state.away = true
  state.silentMs = 2000
  t.equal(await hintOf(bundles), 300)
  state.silentMs = 60_000
  t.equal(await hintOf(bundles), 300)
  state.silentMs = 60_001
  await t.rejects(Promise.resolve(bundles.fresh(ACME)), {
    code: 'DATABASE_UNAVAILABLE',
    retryAfterSeconds: 5,
  })
  state.away = false
  await clock.advance(1001)
  t.equal(await hintOf(bundles), 60, 'and the newest one as soon as it is back')
})

t.test('a reload that fails is tried again', async (t) => {
  const { bundles, state, clock, publish, tell } = await bench(t)
  await publish(60)
  state.away = true
  tell()
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(await hintOf(bundles), 300)
  state.away = false
  await untilTrue(async () => {
    await clock.advance(1000)
    return (await hintOf(bundles)) === 60
  })
})

t.test('a mesh that was deleted is not served any more', async (t) => {
  const { bundles, database, tell, mesh } = await bench(t)
  await database.db.deleteFrom('mesh').where('mesh_id', '=', mesh.meshId).execute()
  tell()
  await untilTrue(() => bundles.get(ACME) === undefined)
})

t.test('a replica notes which sequence it serves', async (t) => {
  const { bundles, database, publish, tell, clock } = await bench(t)
  const { db } = database
  const noted = () => db.selectFrom('replica_bundle').select('sequence').execute()
  t.same(await noted(), [], 'not before it is known to live')
  await db
    .insertInto('replica')
    .values({ id: 'one', started_at: clock.now(), seen_at: clock.now() })
    .execute()
  await bundles.report()
  t.same(await noted(), [{ sequence: bundles.get(ACME)?.sequence }])
  const { sequence } = await publish(60)
  tell()
  await untilTrue(async () => (await noted())[0]?.sequence === sequence)
  await db.deleteFrom('replica').execute()
  await db
    .insertInto('replica')
    .values({ id: 'one', started_at: clock.now(), seen_at: clock.now() })
    .execute()
  await clock.advance(61_000)
  await bundles.report()
  t.same(await noted(), [{ sequence }], 'all of it again once a minute')
})

t.test('fetches are counted in memory and kept when they cannot be written down', async (t) => {
  const { database, state, clock, mesh, options } = await bench(t)
  const context = { actor: 'test', now: clock.now() }
  const reader = await inTransaction(database.db, (trx) =>
    createReader(trx, mesh.meshId, { trustDomain: ACME, label: 'globex', context }),
  )
  const counts = new ReaderCounts({ db: options.db, now: clock.db, clock })
  const access = { meshId: mesh.meshId, trustDomain: ACME, id: reader.id }
  t.equal(await counts.exists(mesh.meshId, ACME, reader.id), true)
  counts.count({ ...access, sequence: 7n, source: '192.0.2.1' })
  await clock.advance(400)
  counts.count({ ...access, sequence: 9n, source: '192.0.2.2' })
  const lastAt = clock.now()
  state.away = true
  await t.rejects(counts.flush())
  counts.count({ ...access, sequence: 8n, source: '192.0.2.1' })
  state.away = false
  await clock.advance(600)
  await counts.flush()
  await counts.flush()
  const row = await database.db.selectFrom('reader').selectAll().executeTakeFirstOrThrow()
  t.match(row, { fetches: 3n, sequence: 9n, last_at: lastAt, first_at: lastAt })
  t.same(row.sources.map(({ address }) => address).toSorted(), ['192.0.2.1', '192.0.2.2'])
  state.away = true
  t.equal(
    await counts.exists(mesh.meshId, ACME, '00000000-0000-4000-8000-000000000000'),
    true,
    'peers go on while the database is away',
  )
  state.away = false
  t.equal(await counts.exists(mesh.meshId, ACME, '00000000-0000-4000-8000-000000000000'), false)
})
