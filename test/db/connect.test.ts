import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Changes, bumpChange } from '../../src/db/changes.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { parseMeshId } from '../../src/db/ids.ts'
import { claimLease, holdsLease, releaseLease } from '../../src/db/lease.ts'
import { databaseNow } from '../../src/db/time.ts'
import { assertOutsideTransaction } from '../../src/db/transaction-scope.ts'
import { testClock } from '../support/clock.ts'
import { quiet, testDatabase } from '../support/database.ts'

t.test('the plain database handle used inside a transaction is one clear error', async (t) => {
  const { db } = await testDatabase(t)
  await t.rejects(
    inTransaction(db, () => databaseNow(db)),
    { code: 'TRANSACTION_MISUSE' },
  )
  await t.rejects(
    inTransaction(db, () => inTransaction(db, async () => 1)),
    { code: 'TRANSACTION_MISUSE' },
  )
  await t.rejects(
    inTransaction(db, async () => assertOutsideTransaction('the network')),
    { message: /the network was used inside a transaction/ },
  )
  t.ok(await databaseNow(db), 'and outside it works')
})

t.test('a dry run answers with the value and changes nothing', async (t) => {
  const { db } = await testDatabase(t)
  const answer = await inTransaction(
    db,
    async (trx) => {
      await trx
        .insertInto('lease')
        .values({ name: 'x', owner: null, epoch: 1n, lease_until: null })
        .execute()
      return (await trx.selectFrom('lease').selectAll().execute()).length
    },
    { dryRun: true },
  )
  t.equal(answer, 1)
  t.same(await db.selectFrom('lease').selectAll().execute(), [])
})

t.test('int8 is a bigint, bytea is bytes and date is text on either engine', async (t) => {
  const { db } = await testDatabase(t)
  const { rows } = await sql<{ n: bigint; small: bigint; b: Uint8Array; d: string }>`
    select 9007199254740993::bigint as n, 1::bigint as small, '\\x00ff'::bytea as b,
      date '2027-01-15' as d`.execute(db)
  t.equal(rows[0]?.n, 9007199254740993n)
  t.equal(rows[0]?.small, 1n)
  t.same([...(rows[0]?.b ?? [])], [0, 255])
  t.equal(rows[0]?.d, '2027-01-15')
})

t.test('a lease has one holder, and each change of holder raises its epoch', async (t) => {
  const { db } = await testDatabase(t)
  const clock = testClock()
  const claim = (owner: string) => claimLease(db, 'work', { owner, seconds: 10, now: clock.db })
  const first = await claim('a')
  t.equal(first?.epoch, 1n)
  t.equal(await claim('b'), undefined, 'held')
  t.equal((await claim('a'))?.epoch, 1n, 'renewed by its holder')
  await clock.advance(10_001)
  const second = await claim('b')
  t.equal(second?.epoch, 2n)
  t.notOk(first && (await inTransaction(db, (trx) => holdsLease(trx, first))), 'a has lost it')
  t.ok(second && (await inTransaction(db, (trx) => holdsLease(trx, second))))
  if (second) await releaseLease(db, second)
  t.equal((await claim('a'))?.epoch, 3n, 'free at once after release')
})

t.test('a change is told to watchers after its commit and not before', async (t) => {
  const database = await testDatabase(t)
  const changes = new Changes({ database, clock: systemClock, log: quiet })
  const heard: string[] = []
  changes.on('bundle', (meshId) => heard.push(meshId))
  await changes.start()
  t.teardown(() => changes.stop())
  await inTransaction(database.db, async (trx) => {
    await bumpChange(trx, parseMeshId('acme'), 'bundle')
    await bumpChange(trx, parseMeshId('acme'), 'rule')
  })
  await inTransaction(database.db, (trx) => bumpChange(trx, parseMeshId('gone'), 'bundle'), {
    dryRun: true,
  })
  for (let i = 0; i < 100 && heard.length === 0; i += 1) await delay(50)
  t.same(heard, ['acme'])
  t.ok(changes.silentMs < 10_000)
})
