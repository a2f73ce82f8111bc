import fc from 'fast-check'
import t from 'tap'
import { canonicalJson } from '../../src/audit/canonical-json.ts'
import { fieldsOf, recordAudit, recordBytes } from '../../src/audit/record.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { testDatabase } from '../support/database.ts'

const record = (object: string) => ({ actor: 'a', action: 'b', object, body: null })

t.test('a value has one canonical text whatever the order of its members', async (t) => {
  t.equal(canonicalJson({ b: 1, a: [true, null, 'x'] }), '{"a":[true,null,"x"],"b":1}')
  t.equal(canonicalJson({ a: [true, null, 'x'], b: 1 }), '{"a":[true,null,"x"],"b":1}')
  t.equal(canonicalJson({ n: 2n ** 64n - 1n }), '{"n":"18446744073709551615"}')
  t.equal(
    canonicalJson({ at: new Date('2027-01-15T08:00:00Z') }),
    '{"at":"2027-01-15T08:00:00.000Z"}',
  )
  t.equal(canonicalJson({ a: undefined }), '{}')
  t.equal(canonicalJson(Object.create(null)), '{}')
})

t.test('what has no canonical form is refused, key material first of all', async (t) => {
  const keys = [Buffer.from('key'), new Uint8Array(3), new Map(), Symbol('x'), () => 1, Number.NaN]
  for (const value of [...keys, undefined, new Error('x'), Infinity]) {
    t.throws(() => canonicalJson({ value: [value] }), TypeError, typeof value)
  }
})

t.test('canonical text reads back as the value it came from', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const again: unknown = JSON.parse(canonicalJson(value))
      t.equal(canonicalJson(again), canonicalJson(value))
    }),
    { seed: 7, numRuns: 200 },
  )
})

t.test('time, mesh, actor, action and object stand in the bytes', async (t) => {
  const at = new Date('2027-01-15T08:00:00.123Z')
  const entry = {
    meshId: 'acme',
    actor: 'a',
    action: 'rule.create',
    object: 'rule/1',
    body: {},
    at,
  }
  const bytes = recordBytes(entry)
  t.equal(
    Buffer.from(bytes).toString(),
    '{"action":"rule.create","actor":"a","at":"2027-01-15T08:00:00.123Z","body":{},"mesh":"acme","object":"rule/1","v":1}',
  )
  for (const other of [
    { at: new Date('2027-01-15T08:00:00.124Z') },
    { meshId: undefined },
    { actor: 'b' },
    { action: 'rule.delete' },
    { object: 'rule/2' },
    { body: { a: 1 } },
  ]) {
    t.notSame(recordBytes({ ...entry, ...other }), bytes, JSON.stringify(other))
  }
  t.match(fieldsOf(bytes), { mesh: 'acme', actor: 'a', body: {} })
  t.equal(fieldsOf(Buffer.from('{}')), undefined)
  t.equal(fieldsOf(Buffer.from('no json')), undefined)
})

t.test('a record lives and dies with the transaction of its change', async (t) => {
  const { db } = await testDatabase(t)
  await inTransaction(db, (trx) => recordAudit(trx, record('kept')))
  await inTransaction(db, (trx) => recordAudit(trx, record('dry')), { dryRun: true })
  const failed = inTransaction(db, async (trx) => {
    await recordAudit(trx, record('failed'))
    throw new Error('the change failed')
  })
  await t.rejects(failed, { message: 'the change failed' })
  const rows = await db.selectFrom('audit_record').select(['object', 'n', 'hash']).execute()
  t.same(rows, [{ object: 'kept', n: null, hash: null }])
})
