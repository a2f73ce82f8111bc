import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { chainHash, GENESIS, isSignedLink } from '../../src/audit/chain.ts'
import { findSealedRecords } from '../../src/audit/store.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { recordAudit } from '../../src/audit/record.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { commitRecord, newAuditKey, testSealer } from '../support/audit.ts'
import { testClock } from '../support/clock.ts'
import { quiet, testDatabase } from '../support/database.ts'

const all = { after: 0n, upto: 1_000_000n, limit: 1_000_000 }

t.test('records get numbers without gaps, chained hashes and a signed link', async (t) => {
  const database = await testDatabase(t)
  const key = newAuditKey()
  const sealer = testSealer(database, { key })
  for (const object of ['a', 'b', 'c']) await commitRecord(database, object)
  await sealer.seal()
  await commitRecord(database, 'd')
  await sealer.seal()
  const records = await findSealedRecords(database.db, all)
  t.same(
    records.map((record) => [record.n, record.object]),
    [
      [1n, 'a'],
      [2n, 'b'],
      [3n, 'c'],
      [4n, 'd'],
    ],
  )
  let hash: Uint8Array = GENESIS
  for (const record of records) {
    hash = chainHash(hash, record.body)
    t.same(Buffer.from(record.hash ?? []), Buffer.from(hash))
  }
  const links = await database.db.selectFrom('audit_link').selectAll().orderBy('upto_n').execute()
  t.same(
    links.map((link) => link.upto_n),
    [3n, 4n],
  )
  for (const link of links) {
    t.ok(isSignedLink(link, key.publicKey))
    t.notOk(isSignedLink({ ...link, upto_n: link.upto_n + 1n }, key.publicKey), 'n is signed')
    t.notOk(isSignedLink({ ...link, at: new Date(0) }, key.publicKey), 'the time is signed')
    t.notOk(isSignedLink(link, newAuditKey().publicKey))
  }
})

t.test('a log longer than one batch is sealed whole, and an idle one writes nothing', async (t) => {
  const database = await testDatabase(t)
  const sealer = testSealer(database)
  await inTransaction(database.db, async (trx) => {
    const at = new Date('2027-01-15T08:00:00Z')
    for (let i = 0; i < 1203; i += 1) {
      await recordAudit(trx, { actor: 'a', action: 'b', object: String(i), body: i, at })
    }
  })
  await sealer.seal()
  const links = await database.db
    .selectFrom('audit_link')
    .select('upto_n')
    .orderBy('upto_n')
    .execute()
  t.same(links, [{ upto_n: 1000n }, { upto_n: 1203n }])
  const lease = await database.db.selectFrom('lease').selectAll().execute()
  await sealer.seal()
  t.same(await database.db.selectFrom('lease').selectAll().execute(), lease)
  t.equal((await database.db.selectFrom('audit_link').selectAll().execute()).length, 2)
})

t.test(
  'while parallel changes commit and two replicas seal, nothing is lost and no number is missing',
  async (t) => {
    const database = await testDatabase(t)
    const key = newAuditKey()
    const sealers = ['one', 'two'].map((owner) => testSealer(database, { key, owner }))
    const writers = 8
    const each = 30
    const stopped = new AbortController()
    const sealing = sealers.map(async (sealer) => {
      while (!stopped.signal.aborted) {
        await sealer.seal()
        await delay(5)
      }
    })
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        for (let i = 0; i < each; i += 1) {
          const object = `${writer}/${i}`
          if (i % 5 === 4) {
            await t.rejects(
              inTransaction(database.db, async (trx) => {
                await recordAudit(trx, {
                  actor: 'a',
                  action: 'b',
                  object: `undone ${object}`,
                  body: 1,
                })
                throw new Error('undone')
              }),
            )
          } else await commitRecord(database, object)
        }
      }),
    )
    stopped.abort()
    await Promise.all(sealing)
    for (const sealer of sealers) await sealer.stop()
    const records = await findSealedRecords(database.db, all)
    const wanted = writers * (each - each / 5)
    t.same(
      records.map((record) => record.n),
      Array.from({ length: wanted }, (_, i) => BigInt(i + 1)),
    )
    t.equal(new Set(records.map((record) => record.object)).size, wanted, 'every change once')
    t.equal(records.filter((record) => record.object.startsWith('undone')).length, 0)
    const verdict = await verifyLog(database.db, { publicKey: key.publicKey })
    t.match(verdict, { verified: BigInt(wanted), open: 0n, broken: undefined })
  },
)

t.test('a reader that goes on behind the last number seen under load misses nothing', async (t) => {
  const database = await testDatabase(t)
  const sealer = testSealer(database)
  const seen: string[] = []
  let after = 0n
  const stopped = new AbortController()
  const read = async (): Promise<void> => {
    for (const record of await findSealedRecords(database.db, { ...all, after })) {
      seen.push(record.object)
      after = record.n
    }
  }
  const reading = (async () => {
    while (!stopped.signal.aborted) {
      await sealer.seal()
      await read()
      await delay(3)
    }
  })()
  await Promise.all(Array.from({ length: 60 }, (_, i) => commitRecord(database, String(i))))
  stopped.abort()
  await reading
  await sealer.seal()
  await read()
  t.equal(new Set(seen).size, 60)
  t.equal(seen.length, 60)
})

t.test('only the holder of the lease seals, and another goes on when it is gone', async (t) => {
  const database = await testDatabase(t)
  const clock = testClock()
  const key = newAuditKey()
  const make = (owner: string) => testSealer(database, { key, owner, clock, now: clock.db })
  const [first, second] = [make('first'), make('second')]
  await commitRecord(database, 'a')
  await first.seal()
  await commitRecord(database, 'b')
  await second.seal()
  t.equal(second.newest, undefined, 'the lease is held')
  await clock.advance(10_001)
  await second.seal()
  t.equal(second.newest?.upto_n, 2n)
  await second.stop()
  await commitRecord(database, 'c')
  await first.seal()
  t.equal(first.newest?.upto_n, 3n, 'stopping gives the lease back at once')
})

t.test('the newest link is logged at most once a minute, and at the stop', async (t) => {
  const database = await testDatabase(t)
  const clock = testClock()
  const logged: object[] = []
  const log = { ...quiet, info: (fields: object) => void logged.push(fields) }
  const sealer = testSealer(database, { clock, now: clock.db, log })
  const change = async (object: string): Promise<void> => {
    await commitRecord(database, object)
    await sealer.seal()
  }
  await change('a')
  await clock.advance(1000)
  await change('b')
  t.match(logged, [{ event: 'audit.link', n: 1n, hash: /^[0-9a-f]{64}$/ }])
  t.equal(logged.length, 1)
  await clock.advance(60_000)
  await change('c')
  t.match(logged[1], { n: 3n })
  await change('d')
  await sealer.stop()
  t.match(logged[2], { event: 'audit.link', n: 4n })
  t.equal(logged.length, 3)
})

t.test('a log that ends before the point this process has seen raises an alarm', async (t) => {
  const database = await testDatabase(t)
  const lost: string[] = []
  const sealer = testSealer(database, { onTailLost: (message) => void lost.push(message) })
  for (const object of ['a', 'b']) {
    await commitRecord(database, object)
    await sealer.seal()
  }
  t.same(lost, [])
  await database.db.deleteFrom('audit_link').where('upto_n', '=', 2n).execute()
  await database.db.deleteFrom('audit_record').where('n', '=', 2n).execute()
  await commitRecord(database, 'c')
  await sealer.seal()
  t.match(lost, [/ended at 1 and had reached 2:[0-9a-f]{64}/])
})
