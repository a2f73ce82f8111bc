import t from 'tap'
import { type Db } from '../../src/db/schema.ts'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { listPartitionDays } from '../../src/svid/issued-store.ts'
import { keepRecords } from '../../src/svid/prune.ts'
import { quiet } from '../support/database.ts'
import { csrOf, issuingService } from './issuing-service.ts'

const DAY_MS = 86_400_000
const rowsOf = async (db: Db): Promise<number> =>
  (await db.selectFrom('svid_issued').select('serial').execute()).length

t.test(
  'records go a day after the last of their day ended, with the whole partition',
  async (t) => {
    const { clock, database, join } = await issuingService(t)
    const { db } = database
    const keep = () => keepRecords({ db, now: clock.db, log: quiet })
    await keep()
    t.same(await listPartitionDays(db), ['2027-01-15', '2027-01-16', '2027-01-17', '2027-01-18'])
    await join()
    t.equal(await rowsOf(db), 1)
    clock.set(new Date('2027-01-16T23:59:00Z'))
    await keep()
    t.equal(await rowsOf(db), 1, 'not yet a day after the end of its day')
    clock.set(new Date('2027-01-17T00:01:00Z'))
    await keep()
    t.equal(await rowsOf(db), 0)
    t.same(await listPartitionDays(db), [
      '2027-01-16',
      '2027-01-17',
      '2027-01-18',
      '2027-01-19',
      '2027-01-20',
    ])
  },
)

t.test(
  'a day without a partition stands in the default one and is deleted from there',
  async (t) => {
    const { clock, database, join } = await issuingService(t)
    const { db } = database
    const warnings: object[] = []
    const log = { warn: (fields: object) => void warnings.push(fields) }
    await join()
    await keepRecords({ db, now: clock.db, log })
    t.match(warnings, [{ event: 'svid.partition-kept-default', reason: '2027-01-15' }])
    t.equal(await rowsOf(db), 1)
    clock.set(new Date('2027-01-17T00:01:00Z'))
    await keepRecords({ db, now: clock.db, log })
    t.equal(await rowsOf(db), 0)
  },
)

t.test('several replicas may keep the records at the same time', async (t) => {
  const { clock, database } = await issuingService(t)
  const { db } = database
  const keep = () => keepRecords({ db, now: clock.db, log: quiet })
  await Promise.all([keep(), keep(), keep()])
  t.equal((await listPartitionDays(db)).length, 4)
})

t.test('used and ended join tokens go after 30 days, usable ones stay', async (t) => {
  const { clock, database, token, call } = await issuingService(t)
  const { db } = database
  const used = await token('/used')
  await call('POST', '/svids/x509', { body: { csr: csrOf(generateKeyPair()), token: used } })
  await token('/ended')
  const count = async () => (await db.selectFrom('join_token').select('id').execute()).length
  clock.set(new Date(clock.now().getTime() + 30 * DAY_MS + 1))
  await keepRecords({ db, now: clock.db, log: quiet })
  t.equal(await count(), 1, 'the one that ended an hour later is not 30 days old yet')
  clock.set(new Date(clock.now().getTime() + 3_700_000))
  await keepRecords({ db, now: clock.db, log: quiet })
  t.equal(await count(), 0)
})

t.test('renewal finds its record in a partition as well as in the default one', async (t) => {
  const { clock, database, join, call } = await issuingService(t)
  const renew = async () => {
    const as = await join()
    const body = { csr: csrOf(generateKeyPair()) }
    return (await call('POST', '/svids/x509', { as, body })).status
  }
  t.equal(await renew(), 200)
  const { db } = database
  await db.deleteFrom('svid_issued').execute()
  await keepRecords({ db, now: clock.db, log: quiet })
  t.equal(await renew(), 200)
})
