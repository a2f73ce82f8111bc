import { sql } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import { type AuthorityState, type Db } from '../db/schema.ts'
import { settingsInForce } from '../mesh/settings.ts'
import { type Entry } from '../registry/entry.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { endDayOf, type IssuedRecord, type IssuedSvid } from './issued.ts'

/**
 * Holds off changes of these trust domains' authorities until the transaction ends: who retires one first locks
 * the row, so that no SVID is recorded under it after its last use was looked up.
 */
export async function shareTrustDomains(trx: Db, names: readonly TrustDomain[]): Promise<void> {
  await trx
    .selectFrom('trust_domain')
    .select('name')
    .where('name', 'in', [...names])
    .orderBy('name')
    .forKeyShare()
    .execute()
}

/** The columns of a record, in the order of {@link ISSUED_ROWS}. */
const ISSUED_COLUMNS = sql`end_day, mesh_id, trust_domain, kind, serial, spiffe_id, entry_id,
  public_key_sha256, authority_id, not_after, first_attested_at, bundle_sequence, refresh_at, issued_at`

/** The values of a record `r` as it goes into the table. */
const ISSUED_VALUES = sql`r.end_day, r.mesh_id, r.trust_domain, r.kind, r.serial, r.spiffe_id, r.entry_id,
  decode(r.public_key_sha256, 'hex'), r.authority_id, r.not_after, r.first_attested_at, r.bundle_sequence,
  r.refresh_at, r.issued_at`

/** How the JSON of {@link rowOf} is read as rows. */
const ISSUED_ROWS = sql`(
  end_day date, mesh_id text, trust_domain text, kind text, serial text, spiffe_id text, entry_id uuid,
  public_key_sha256 text, authority_id uuid, not_after timestamptz, first_attested_at timestamptz,
  bundle_sequence bigint, refresh_at timestamptz, issued_at timestamptz)`

/**
 * Records SVIDs by one statement, those whose authority is still active and whose entry still exists; answers
 * with the serials that were recorded.
 */
export async function insertIssued(
  trx: Db,
  issued: readonly IssuedSvid[],
): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ serial: string }>`
    insert into svid_issued (${ISSUED_COLUMNS})
    select ${ISSUED_VALUES}
    from jsonb_to_recordset(${jsonOf(issued)}::jsonb) as r ${ISSUED_ROWS}
    join authority a on a.mesh_id = r.mesh_id and a.id = r.authority_id and a.state = 'active'
    join entry e on e.mesh_id = r.mesh_id and e.id = r.entry_id
    returning serial`.execute(trx)
  return new Set(rows.map(({ serial }) => serial))
}

/** An audit record that goes in together with what it tells of. */
export interface AuditRow {
  readonly at: Date
  readonly meshId: MeshId
  readonly actor: string
  readonly action: string
  readonly object: string
  /** Its exact bytes. */
  readonly body: Uint8Array
}

/**
 * Records SVIDs and their audit records by one statement that is its own transaction: all of them, or none when
 * the authority or the entry of one is gone. Answers whether they were recorded.
 *
 * Locks the trust domain and then the authority, in the order of whoever retires one, and so sees an authority as
 * it is once the lock is there.
 */
export async function insertWhole(
  db: Db,
  issued: readonly IssuedSvid[],
  audits: readonly AuditRow[],
): Promise<boolean> {
  const { rows } = await sql<{ is_whole: boolean }>`
    with r as materialized (
      select * from jsonb_to_recordset(${jsonOf(issued)}::jsonb) as r ${ISSUED_ROWS}
    ),
    usable as materialized (
      select td.mesh_id, a.id from trust_domain td
      join authority a on a.mesh_id = td.mesh_id and a.trust_domain = td.name and a.state = 'active'
      where (td.mesh_id, a.id) in (select mesh_id, authority_id from r)
      for key share of td for share of a
    ),
    outcome as materialized (
      select count(*) = ${issued.length} as is_whole from r
      join usable u on u.mesh_id = r.mesh_id and u.id = r.authority_id
      join entry e on e.mesh_id = r.mesh_id and e.id = r.entry_id
    ),
    recorded as (
      insert into svid_issued (${ISSUED_COLUMNS})
      select ${ISSUED_VALUES} from r where (select is_whole from outcome)
    ),
    audited as (
      insert into audit_record (at, mesh_id, actor, action, object, body)
      select x.at, x.mesh_id, x.actor, x.action, x.object, decode(x.body, 'hex')
      from jsonb_to_recordset(${auditJson(audits)}::jsonb) as x (
        at timestamptz, mesh_id text, actor text, action text, object text, body text)
      where (select is_whole from outcome)
    )
    select is_whole from outcome`.execute(db)
  return rows[0]?.is_whole === true
}

/** Which record of an X509-SVID is wanted. */
export interface IssuedKey {
  readonly meshId: MeshId
  readonly serial: string
  readonly notAfter: Date
}

/**
 * The records of X509-SVIDs, in the order asked for, undefined where there is none.
 *
 * They come as one JSON document: taking twenty columns of each row apart would cost the process more than the
 * signature of the SVID.
 */
export async function findIssued(
  db: Db,
  wanted: readonly IssuedKey[],
): Promise<(IssuedRecord | undefined)[]> {
  const keys = wanted.map(({ meshId, serial, notAfter }, nr) => {
    return { nr, mesh_id: meshId, serial, end_day: endDayOf(notAfter) }
  })
  const { rows } = await sql<{ found: readonly RecordRow[] | null }>`
    select json_agg(json_build_object(
      'nr', w.nr, 'spiffeId', i.spiffe_id, 'key', encode(i.public_key_sha256, 'hex'),
      'firstAttestedAt', ${milliseconds('i.first_attested_at')},
      'state', a.state, 'issuer', td.issuer, 'settings', m.settings,
      'entry', case when e.id is not null then json_build_object(
        'meshId', e.mesh_id, 'id', e.id, 'trustDomain', e.trust_domain, 'spiffeId', e.spiffe_id,
        'x509TtlSeconds', e.x509_ttl_seconds, 'jwtTtlSeconds', e.jwt_ttl_seconds,
        'dnsNames', e.dns_names, 'federatesWith', e.federates_with, 'hint', e.hint, 'cluster', e.cluster,
        'expiresAt', ${milliseconds('e.expires_at')}, 'version', e.version::text,
        'createdAt', ${milliseconds('e.created_at')}) end
    )) as found
    from jsonb_to_recordset(${JSON.stringify(keys)}::jsonb) as w (
      nr integer, mesh_id text, serial text, end_day date)
    join svid_issued i on i.end_day = w.end_day and i.mesh_id = w.mesh_id and i.kind = 'x509'
      and i.serial = w.serial
    join mesh m on m.mesh_id = i.mesh_id
    join trust_domain td on td.mesh_id = i.mesh_id and td.name = i.trust_domain
    left join authority a on a.mesh_id = i.mesh_id and a.id = i.authority_id
    left join entry e on e.mesh_id = i.mesh_id and e.id = i.entry_id`.execute(db)
  const byNr = new Map((rows[0]?.found ?? []).map((row) => [row.nr, recordOf(row)]))
  return wanted.map((_, nr) => byNr.get(nr))
}

/** A moment as whole milliseconds since 1970, which JSON holds exactly. */
function milliseconds(column: string) {
  return sql`round(extract(epoch from ${sql.ref(column)}) * 1000)::bigint`
}

/** Makes the partition of a day, unless it is there. */
export async function createPartition(db: Db, day: string): Promise<void> {
  await sql`create table if not exists ${partitionOf(day)} partition of svid_issued
    for values in (${sql.lit(day)})`.execute(db)
}

/** The days that have a partition of their own. */
export async function listPartitionDays(db: Db): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_inherits h
    join pg_class c on c.oid = h.inhrelid
    join pg_class p on p.oid = h.inhparent
    where p.relname = 'svid_issued' and c.relname ~ '^svid_issued_[0-9]{8}$'
    order by 1`.execute(db)
  return rows.map(({ name }) => {
    const digits = name.slice('svid_issued_'.length)
    return `${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6)}`
  })
}

/** Drops the partition of a day with all its records. */
export async function dropPartition(db: Db, day: string): Promise<void> {
  await sql`drop table if exists ${partitionOf(day)}`.execute(db)
}

/** Deletes what stands in the default partition and ended on this day or before. */
export async function deleteIssuedThrough(db: Db, day: string): Promise<void> {
  await sql`delete from svid_issued_default where end_day <= ${day}::date`.execute(db)
}

function partitionOf(day: string) {
  return sql.table(`svid_issued_${day.replaceAll('-', '')}`)
}

function jsonOf(issued: readonly IssuedSvid[]): string {
  return JSON.stringify(issued.map(rowOf))
}

function auditJson(audits: readonly AuditRow[]): string {
  return JSON.stringify(
    audits.map(({ at, meshId, actor, action, object, body }) => {
      return { at, mesh_id: meshId, actor, action, object, body: Buffer.from(body).toString('hex') }
    }),
  )
}

function rowOf(svid: IssuedSvid): Record<string, unknown> {
  const { publicKeySha256 } = svid
  return {
    end_day: endDayOf(svid.notAfter),
    mesh_id: svid.meshId,
    trust_domain: svid.trustDomain,
    kind: svid.kind,
    serial: svid.serial,
    spiffe_id: svid.spiffeId,
    entry_id: svid.entryId,
    public_key_sha256:
      publicKeySha256 === undefined ? null : Buffer.from(publicKeySha256).toString('hex'),
    authority_id: svid.authorityId,
    not_after: svid.notAfter,
    first_attested_at: svid.firstAttestedAt,
    bundle_sequence: svid.bundleSequence.toString(),
    refresh_at: svid.refreshAt,
    issued_at: svid.issuedAt,
  }
}

interface RecordRow {
  readonly nr: number
  readonly spiffeId: SpiffeId
  readonly key: string | null
  readonly firstAttestedAt: number
  readonly state: AuthorityState | null
  readonly issuer: 'managed' | 'observed'
  readonly settings: Record<string, number>
  /** Null once it was deleted. */
  readonly entry: EntryRow | null
}

interface EntryRow extends Omit<Entry, 'hint' | 'cluster' | 'expiresAt' | 'version' | 'createdAt'> {
  readonly hint: string | null
  readonly cluster: string | null
  readonly expiresAt: number | null
  readonly version: string
  readonly createdAt: number
}

function recordOf(row: RecordRow): IssuedRecord {
  const { spiffeId, key, firstAttestedAt, state, issuer, settings, entry } = row
  return {
    spiffeId,
    publicKeySha256: key === null ? undefined : Buffer.from(key, 'hex'),
    firstAttestedAt: new Date(firstAttestedAt),
    authorityState: state ?? undefined,
    issuer,
    settings: settingsInForce(settings),
    entry: entry === null ? undefined : entryOf(entry),
  }
}

function entryOf(row: EntryRow): Entry {
  return {
    ...row,
    hint: row.hint ?? undefined,
    cluster: row.cluster ?? undefined,
    expiresAt: row.expiresAt === null ? undefined : new Date(row.expiresAt),
    version: BigInt(row.version),
    createdAt: new Date(row.createdAt),
  }
}
