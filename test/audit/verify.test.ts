import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { AuditKey } from '../../src/audit/audit-key.ts'
import { chainHash, headText, parseHead, signLink } from '../../src/audit/chain.ts'
import { recordBytes } from '../../src/audit/record.ts'
import { findSealedRecords } from '../../src/audit/store.ts'
import { type Verdict, verifyLog } from '../../src/audit/verify.ts'
import type { Db } from '../../src/db/schema.ts'
import { commitRecord, newAuditKey, testSealer } from '../support/audit.ts'
import { testDatabase } from '../support/database.ts'

interface Log {
  readonly db: Db
  readonly key: AuditKey
  readonly head: string
  verify(head?: string): Promise<Verdict>
}

/** A log of seven records, sealed as 3 + 4. */
async function sealedLog(t: Test): Promise<Log> {
  const database = await testDatabase(t)
  const key = newAuditKey()
  const sealer = testSealer(database, { key })
  for (const n of [1, 2, 3]) await commitRecord(database, `rule/${n}`)
  await sealer.seal()
  for (const n of [4, 5, 6, 7]) await commitRecord(database, `rule/${n}`)
  await sealer.seal()
  const newest = sealer.newest
  if (newest === undefined) throw new Error('nothing was sealed')
  return {
    db: database.db,
    key,
    head: headText({ n: newest.upto_n, hash: newest.hash }),
    verify: (head) =>
      verifyLog(database.db, {
        publicKey: key.publicKey,
        head: head === undefined ? undefined : parseHead(head),
      }),
  }
}

t.test('a whole log is verified to its end, also against its own head', async (t) => {
  const log = await sealedLog(t)
  t.match(await log.verify(), { verified: 7n, open: 0n, broken: undefined })
  const verdict = await log.verify(log.head)
  t.equal(verdict.broken, undefined)
  t.equal(verdict.head && headText(verdict.head), log.head)
})

t.test('an empty log and records still open are no flaw', async (t) => {
  const database = await testDatabase(t)
  const publicKey = newAuditKey().publicKey
  t.match(await verifyLog(database.db, { publicKey }), { verified: 0n, head: undefined, open: 0n })
  await commitRecord(database, 'a')
  t.match(await verifyLog(database.db, { publicKey }), {
    verified: 0n,
    open: 1n,
    broken: undefined,
  })
})

const set = async (db: Db, statement: string): Promise<void> => {
  await sql.raw(statement).execute(db)
}

const TAMPERED: readonly {
  readonly what: string
  readonly statements: readonly string[]
  readonly n: bigint
  readonly flaw: string
}[] = [
  {
    what: 'the body of a record',
    statements: [`update audit_record set body = body || '\\x20' where n = 4`],
    n: 4n,
    flaw: 'record-changed',
  },
  {
    what: 'its hash',
    statements: [`update audit_record set hash = decode(repeat('00', 32), 'hex') where n = 5`],
    n: 5n,
    flaw: 'record-changed',
  },
  {
    what: 'its hash, taken away',
    statements: ['update audit_record set hash = null where n = 5'],
    n: 5n,
    flaw: 'record-changed',
  },
  {
    what: 'the column actor alone',
    statements: [`update audit_record set actor = 'somebody-else' where n = 2`],
    n: 2n,
    flaw: 'columns-changed',
  },
  {
    what: 'the column mesh_id alone',
    statements: ['update audit_record set mesh_id = null where n = 2'],
    n: 2n,
    flaw: 'columns-changed',
  },
  {
    what: 'the column at alone',
    statements: [`update audit_record set at = at + interval '1 second' where n = 3`],
    n: 3n,
    flaw: 'columns-changed',
  },
  {
    what: 'the column object alone',
    statements: [`update audit_record set object = 'rule/x' where n = 6`],
    n: 6n,
    flaw: 'columns-changed',
  },
  {
    what: 'the column action alone',
    statements: [`update audit_record set action = 'rule.read' where n = 6`],
    n: 6n,
    flaw: 'columns-changed',
  },
  {
    what: 'the order of two records',
    statements: [
      'update audit_record set n = -1 where n = 2',
      'update audit_record set n = 2 where n = 3',
      'update audit_record set n = 3 where n = -1',
    ],
    n: 2n,
    flaw: 'record-changed',
  },
  {
    what: 'a record in the middle, gone',
    statements: ['delete from audit_record where n = 4'],
    n: 4n,
    flaw: 'record-missing',
  },
  {
    what: 'the first record, gone',
    statements: ['delete from audit_record where n = 1'],
    n: 1n,
    flaw: 'record-missing',
  },
  {
    what: 'a record gone and the rest moved up',
    statements: [
      'delete from audit_record where n = 3',
      'update audit_record set n = n - 1000 where n > 3',
      'update audit_record set n = n + 999 where n < 0',
    ],
    n: 3n,
    flaw: 'record-changed',
  },
  {
    what: 'the last records, gone, with their link left',
    statements: ['delete from audit_record where n > 5'],
    n: 6n,
    flaw: 'tail-missing',
  },
  {
    what: 'the last link, gone',
    statements: ['delete from audit_link where upto_n = 7'],
    n: 4n,
    flaw: 'link-missing',
  },
  {
    what: 'the signature of a link',
    statements: [
      `update audit_link set signature = decode(repeat('00', 64), 'hex') where upto_n = 3`,
    ],
    n: 3n,
    flaw: 'link-changed',
  },
  {
    what: 'the time of a link',
    statements: [`update audit_link set at = at - interval '1 hour' where upto_n = 7`],
    n: 7n,
    flaw: 'link-changed',
  },
  {
    what: 'the hash of a link',
    statements: [`update audit_link set hash = decode(repeat('11', 32), 'hex') where upto_n = 3`],
    n: 3n,
    flaw: 'link-changed',
  },
]

for (const { what, statements, n, flaw } of TAMPERED) {
  t.test(`a change is found: ${what}`, async (t) => {
    const log = await sealedLog(t)
    for (const statement of statements) await set(log.db, statement)
    const { broken } = await log.verify()
    t.match(broken, { n, flaw })
    t.match(broken?.detail, /[a-z]/)
  })
}

t.test('a tail that was cut off cleanly shows only against a head kept elsewhere', async (t) => {
  const log = await sealedLog(t)
  await set(log.db, 'delete from audit_record where n > 3')
  await set(log.db, 'delete from audit_link where upto_n > 3')
  t.match(await log.verify(), { verified: 3n, broken: undefined }, 'the log alone looks whole')
  t.match((await log.verify(log.head)).broken, { n: 4n, flaw: 'tail-missing' })
})

/** What somebody with the database and the audit key could do: change a record and chain everything anew. */
async function rewrite({ db, key }: Log): Promise<void> {
  const records = await findSealedRecords(db, { after: 0n, upto: 100n, limit: 100 })
  let hash: Uint8Array = new Uint8Array(32)
  for (const record of records) {
    const changed = record.n === 2n
    const object = changed ? 'rule/forged' : record.object
    const { at, actor, action, mesh_id } = record
    const meshId = mesh_id ?? undefined
    const body = changed
      ? recordBytes({ at, actor, action, object, meshId, body: 'forged' })
      : record.body
    hash = chainHash(hash, body)
    await db
      .updateTable('audit_record')
      .set({ body, object, hash })
      .where('n', '=', record.n)
      .execute()
  }
  await db.deleteFrom('audit_link').execute()
  const point = { upto_n: 7n, hash, at: new Date('2027-01-15T08:00:00Z') }
  await db
    .insertInto('audit_link')
    .values({ ...point, signature: signLink(point, key.privateKey) })
    .execute()
}

t.test(
  'a log rewritten whole needs the audit key, and even then a head kept elsewhere shows it',
  async (t) => {
    const log = await sealedLog(t)
    await rewrite({ ...log, key: newAuditKey() })
    t.match((await log.verify()).broken, { n: 7n, flaw: 'link-changed' }, 'without the key')
    await rewrite(log)
    t.equal((await log.verify()).broken, undefined, 'with the key it looks whole')
    t.match((await log.verify(log.head)).broken, { n: 7n, flaw: 'head-differs' })
  },
)

t.test('a head has one form', async (t) => {
  const hash = 'ab'.repeat(32)
  t.equal(parseHead(`12:${hash}`)?.n, 12n)
  for (const text of [
    '',
    '12',
    `0:${hash}`,
    `-1:${hash}`,
    `12:${hash}0`,
    `12:${hash.toUpperCase()}`,
  ]) {
    t.equal(parseHead(text), undefined, text)
  }
})
