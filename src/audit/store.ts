import { type Insertable, sql } from 'kysely'
import type { Db } from '../db/schema.ts'
import type { AuditRecordTable } from '../db/schema-access.ts'

/** A record with its number; a hash that is missing shows that somebody meddled with it. */
export interface SealedRecord {
  readonly n: bigint
  readonly at: Date
  readonly mesh_id: string | null
  readonly actor: string
  readonly action: string
  readonly object: string
  readonly body: Uint8Array
  readonly hash: Uint8Array | null
}

/** A signed point of the chain. */
export interface AuditLink {
  readonly upto_n: bigint
  readonly hash: Uint8Array
  readonly signature: Uint8Array
  readonly at: Date
}

const COLUMNS = [
  'n',
  'at',
  'mesh_id',
  'actor',
  'action',
  'object',
  'body',
  'hash',
] as const satisfies readonly (keyof AuditRecordTable)[]

const LINK_COLUMNS = ['upto_n', 'hash', 'signature', 'at'] as const

/** Appends a record without a number. */
export async function insertRecord(trx: Db, row: Insertable<AuditRecordTable>): Promise<void> {
  await trx.insertInto('audit_record').values(row).execute()
}

/** Whether any committed record waits for its number. */
export async function hasOpenRecords(db: Db): Promise<boolean> {
  const row = await db
    .selectFrom('audit_record')
    .select('id')
    .where('n', 'is', null)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** Committed records without a number, oldest id first. */
export async function findOpenRecords(
  trx: Db,
  limit: number,
): Promise<{ id: bigint; body: Uint8Array }[]> {
  return trx
    .selectFrom('audit_record')
    .select(['id', 'body'])
    .where('n', 'is', null)
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** Gives records their numbers and hashes; a record that already has one is left alone. Answers how many it changed. */
export async function numberRecords(
  trx: Db,
  given: readonly { id: bigint; n: bigint; hash: Uint8Array }[],
): Promise<number> {
  const rows = sql.join(
    given.map(({ id, n, hash }) => sql`(${id}::bigint, ${n}::bigint, ${hash}::bytea)`),
  )
  const result = await sql`
    update audit_record set n = given.n, hash = given.hash
    from (values ${rows}) as given (id, n, hash)
    where audit_record.id = given.id and audit_record.n is null`.execute(trx)
  return Number(result.numAffectedRows ?? 0n)
}

/** Stores a signed link. */
export async function insertLink(trx: Db, link: AuditLink): Promise<void> {
  await trx.insertInto('audit_link').values(link).execute()
}

/** The newest signed link. */
export async function findNewestLink(db: Db): Promise<AuditLink | undefined> {
  return db
    .selectFrom('audit_link')
    .select(LINK_COLUMNS)
    .orderBy('upto_n', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/** The highest number given, the newest link's, and how many records have none, as of one moment. */
export async function findTail(
  db: Db,
): Promise<{ record: bigint | null; link: bigint | null; open: bigint }> {
  const { rows } = await sql<{ record: bigint | null; link: bigint | null; open: bigint }>`
    select (select max(n) from audit_record) as record,
      (select max(upto_n) from audit_link) as link,
      (select count(*)::bigint from audit_record where n is null) as open`.execute(db)
  return rows[0] ?? { record: null, link: null, open: 0n }
}

/** Sealed records with `after < n <= upto`, by number. */
export async function findSealedRecords(
  db: Db,
  range: { after: bigint; upto: bigint; limit: number },
): Promise<SealedRecord[]> {
  const rows = await db
    .selectFrom('audit_record')
    .select(COLUMNS)
    .where('n', '>', range.after)
    .where('n', '<=', range.upto)
    .orderBy('n')
    .limit(range.limit)
    .execute()
  return rows.map(numbered)
}

/** Links with `after < upto_n <= upto`, by number. */
export async function findLinks(
  db: Db,
  range: { after: bigint; upto: bigint },
): Promise<AuditLink[]> {
  return db
    .selectFrom('audit_link')
    .select(LINK_COLUMNS)
    .where('upto_n', '>', range.after)
    .where('upto_n', '<=', range.upto)
    .orderBy('upto_n')
    .execute()
}

/** Which records a reader of the log wants. */
export interface RecordFilter {
  readonly meshId?: string | undefined
  /** Only of these meshes; undefined = all, also of none. */
  readonly meshes?: readonly string[] | undefined
  readonly object?: string | undefined
  readonly actor?: string | undefined
  readonly action?: string | undefined
  readonly order: 'newest' | 'oldest'
  /** Continue behind the record with this hash, in the chosen order. */
  readonly behind?: Uint8Array | undefined
  readonly limit: number
}

/** Sealed records that match, in the order of their numbers. */
export async function findRecords(db: Db, filter: RecordFilter): Promise<SealedRecord[]> {
  const newest = filter.order === 'newest'
  let query = db.selectFrom('audit_record').select(COLUMNS).where('n', 'is not', null)
  if (filter.meshId !== undefined) query = query.where('mesh_id', '=', filter.meshId)
  if (filter.meshes !== undefined) {
    query = query.where('mesh_id', 'in', filter.meshes.length === 0 ? [''] : filter.meshes)
  }
  if (filter.object !== undefined) query = query.where('object', '=', filter.object)
  if (filter.actor !== undefined) query = query.where('actor', '=', filter.actor)
  if (filter.action !== undefined) query = query.where('action', '=', filter.action)
  const { behind } = filter
  if (behind !== undefined) {
    query = query.where('n', newest ? '<' : '>', (eb) =>
      eb.selectFrom('audit_record').select('n').where('hash', '=', behind),
    )
  }
  const rows = await query
    .orderBy('n', newest ? 'desc' : 'asc')
    .limit(filter.limit)
    .execute()
  return rows.map(numbered)
}

function numbered(row: Omit<SealedRecord, 'n'> & { readonly n: bigint | null }): SealedRecord {
  if (row.n === null) throw new Error('a query for numbered audit records found one without')
  return { ...row, n: row.n }
}
