import t from 'tap'
import { createReader } from '../../src/bundle/readers.ts'
import { ReaderCounts } from '../../src/bundle/reader-counts.ts'
import { MAX_SOURCES, plainAddress, RecentSources } from '../../src/bundle/recent-sources.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { testClock } from '../support/clock.ts'
import { testDatabase } from '../support/database.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'

t.test('the newest sixteen addresses are kept in memory', async (t) => {
  const sources = new RecentSources()
  for (let n = 0; n < 100; n += 1) sources.note(`192.0.2.${n}`, n)
  sources.note('192.0.2.90', 200)
  sources.note(undefined, 300)
  const kept = sources.entries()
  t.equal(kept.length, MAX_SOURCES)
  t.same(kept.at(-1), ['192.0.2.90', 200])
  const older = new RecentSources()
  older.note('198.51.100.1', 1)
  const few = new RecentSources()
  few.note('192.0.2.1', 2)
  few.addOlder(older)
  t.same(few.entries(), [
    ['198.51.100.1', 1],
    ['192.0.2.1', 2],
  ])
  t.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1')
  t.equal(plainAddress('2001:db8::1'), '2001:db8::1')
})

t.test('and the newest sixteen over all flushes and replicas in the database', async (t) => {
  const { db } = await testDatabase(t)
  const clock = testClock()
  const { mesh } = await makeMesh(db, testKeyring(), { now: clock.now() })
  const trustDomain = 'acme.example' as never
  const { id } = await inTransaction(db, (trx) =>
    createReader(trx, mesh.meshId, {
      trustDomain,
      label: 'globex',
      context: { actor: 'test', now: clock.now() },
    }),
  )
  const replicas = [1, 2].map(() => new ReaderCounts({ db, now: clock.db, clock }))
  for (let n = 0; n < 30; n += 1) {
    const counts = replicas[n % 2]
    counts?.count({ meshId: mesh.meshId, trustDomain, id, sequence: 1n, source: `192.0.2.${n}` })
    await counts?.flush()
    await clock.advance(1000)
  }
  const { sources } = await db.selectFrom('reader').select('sources').executeTakeFirstOrThrow()
  t.same(
    sources.map(({ address }) => address),
    Array.from({ length: MAX_SOURCES }, (_, index) => `192.0.2.${29 - index}`),
  )
  t.ok(sources.every(({ lastAt }) => !Number.isNaN(Date.parse(lastAt))))
})
