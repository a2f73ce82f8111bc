import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import { type EntryTable } from '../db/schema-identity.ts'
import { type Db } from '../db/schema.ts'
import { type AppliedTarget } from '../mesh/applied-object.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type Entry } from './entry.ts'

const ENTRY = [
  'mesh_id',
  'id',
  'trust_domain',
  'spiffe_id',
  'x509_ttl_seconds',
  'jwt_ttl_seconds',
  'dns_names',
  'federates_with',
  'hint',
  'cluster',
  'expires_at',
  'version',
  'created_at',
] as const

/** Stores a new entry; throws a unique violation when its SPIFFE ID has one. */
export async function insertEntry(trx: Db, meshId: MeshId, entry: Entry): Promise<void> {
  await trx
    .insertInto('entry')
    .values({
      mesh_id: meshId,
      id: entry.id,
      trust_domain: entry.trustDomain,
      spiffe_id: entry.spiffeId,
      ...contentColumns(entry),
      version: entry.version,
      created_at: entry.createdAt,
    })
    .execute()
}

/** Writes what of an entry can change. */
export async function updateEntry(trx: Db, meshId: MeshId, entry: Entry): Promise<void> {
  await trx
    .updateTable('entry')
    .set({ ...contentColumns(entry), version: entry.version })
    .where('mesh_id', '=', meshId)
    .where('id', '=', entry.id)
    .execute()
}

/** Deletes an entry and its join tokens. */
export async function deleteEntry(trx: Db, meshId: MeshId, id: string): Promise<void> {
  await trx.deleteFrom('entry').where('mesh_id', '=', meshId).where('id', '=', id).execute()
}

/** The entry with this id. */
export async function findEntry(db: Db, meshId: MeshId, id: string): Promise<Entry | undefined> {
  const row = await db
    .selectFrom('entry')
    .select(ENTRY)
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .executeTakeFirst()
  return row === undefined ? undefined : entryOf(row)
}

/** The entry with this id, locked until the transaction ends. */
export async function lockEntry(trx: Db, meshId: MeshId, id: string): Promise<Entry | undefined> {
  const row = await trx
    .selectFrom('entry')
    .select(ENTRY)
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : entryOf(row)
}

/** Whether the path of any entry's SPIFFE ID is this one, or begins so. */
export async function hasEntryLike(
  db: Db,
  meshId: MeshId,
  { literal, wild }: { readonly literal: string; readonly wild: boolean },
): Promise<boolean> {
  const begin = sql<string>`'spiffe://' || trust_domain || ${literal}::text`
  const row = await db
    .selectFrom('entry')
    .select('id')
    .where('mesh_id', '=', meshId)
    .where(
      wild ? sql<boolean>`starts_with(spiffe_id, ${begin})` : sql<boolean>`spiffe_id = ${begin}`,
    )
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** The entry for this SPIFFE ID. */
export async function findEntryBySpiffeId(
  db: Db,
  meshId: MeshId,
  spiffeId: SpiffeId,
): Promise<Entry | undefined> {
  const row = await db
    .selectFrom('entry')
    .select(ENTRY)
    .where('mesh_id', '=', meshId)
    .where('spiffe_id', '=', spiffeId)
    .executeTakeFirst()
  return row === undefined ? undefined : entryOf(row)
}

/** Which part of the list is wanted. */
export interface EntryPage {
  readonly spiffeId?: string | undefined
  /** Only those tied to these clusters; undefined = all. */
  readonly among?: readonly string[] | undefined
  /** SPIFFE ID of the last one shown before. */
  readonly after?: string | undefined
  readonly limit: number
}

/** Entries by SPIFFE ID. */
export async function listEntries(db: Db, meshId: MeshId, page: EntryPage): Promise<Entry[]> {
  let query = db
    .selectFrom('entry')
    .select(ENTRY)
    .where('mesh_id', '=', meshId)
    .orderBy('spiffe_id')
    .limit(page.limit)
  if (page.spiffeId !== undefined) query = query.where('spiffe_id', '=', page.spiffeId as SpiffeId)
  if (page.after !== undefined) query = query.where('spiffe_id', '>', page.after as SpiffeId)
  const { among } = page
  if (among !== undefined) {
    query = query.where('cluster', 'in', among.length === 0 ? [''] : among)
  }
  return (await query.execute()).map(entryOf)
}

/** How many entries a mesh has. */
export async function countEntries(db: Db, meshId: MeshId): Promise<number> {
  const { count } = await db
    .selectFrom('entry')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .where('mesh_id', '=', meshId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** The entries of these SPIFFE IDs, each within the cluster that it is tied to. */
export async function entriesNamed(
  db: Db,
  meshId: MeshId,
  names: readonly string[],
): Promise<AppliedTarget[]> {
  if (names.length === 0) return []
  const rows = await db
    .selectFrom('entry')
    .select(['id', 'spiffe_id', 'cluster'])
    .where('mesh_id', '=', meshId)
    .where('spiffe_id', 'in', names as readonly SpiffeId[])
    .execute()
  return rows.map(({ id, spiffe_id: name, cluster }) => ({
    name,
    objectId: id,
    within: cluster === null ? [] : [cluster],
  }))
}

/** SPIFFE IDs of the entries that federate with a peer group. */
export async function entriesNaming(db: Db, meshId: MeshId, group: string): Promise<SpiffeId[]> {
  const rows = await db
    .selectFrom('entry')
    .select('spiffe_id')
    .where('mesh_id', '=', meshId)
    .where(sql<string>`federates_with ->> 'group'`, '=', group)
    .orderBy('spiffe_id')
    .execute()
  return rows.map((row) => row.spiffe_id)
}

/** SPIFFE IDs of the entries that federate with one of these domains, at most `limit`, and how many there are. */
export async function entriesMeeting(
  db: Db,
  meshId: MeshId,
  {
    trustDomains,
    limit,
  }: { readonly trustDomains: readonly TrustDomain[]; readonly limit: number },
): Promise<{ readonly named: SpiffeId[]; readonly count: number }> {
  const names = sql.join(trustDomains.map((name) => sql`${name}`))
  const { rows } = await sql<{ spiffe_id: SpiffeId; count: bigint }>`
    select e.spiffe_id, count(*) over () as count from entry e
    where e.mesh_id = ${meshId} and (
      e.federates_with = '"all"'::jsonb
      or (jsonb_typeof(e.federates_with) = 'array' and e.federates_with ?| array[${names}])
      or exists (
        select 1 from peer_group_member g
        join relationship_domain d on d.mesh_id = g.mesh_id and d.relationship_id = g.relationship_id
        where g.mesh_id = e.mesh_id and g.group_name = e.federates_with ->> 'group'
          and d.trust_domain in (${names})
      )
    )
    order by e.spiffe_id limit ${limit}`.execute(db)
  return { named: rows.map((row) => row.spiffe_id), count: Number(rows[0]?.count ?? 0) }
}

/** How many SVIDs of an entry are still alive. */
export async function countLivingSvids(
  db: Db,
  meshId: MeshId,
  { entryId, now }: { readonly entryId: string; readonly now: Date },
): Promise<number> {
  const { count } = await db
    .selectFrom('svid_issued')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .where('mesh_id', '=', meshId)
    .where('entry_id', '=', entryId)
    .where('not_after', '>', now)
    .executeTakeFirstOrThrow()
  return Number(count)
}

function contentColumns(entry: Entry) {
  return {
    x509_ttl_seconds: entry.x509TtlSeconds,
    jwt_ttl_seconds: entry.jwtTtlSeconds,
    dns_names: JSON.stringify(entry.dnsNames),
    federates_with: JSON.stringify(entry.federatesWith),
    hint: entry.hint ?? null,
    cluster: entry.cluster ?? null,
    expires_at: entry.expiresAt ?? null,
  }
}

type EntryRow = Pick<Selectable<EntryTable>, (typeof ENTRY)[number]>

function entryOf(row: EntryRow): Entry {
  return {
    meshId: row.mesh_id,
    id: row.id,
    trustDomain: row.trust_domain,
    spiffeId: row.spiffe_id,
    x509TtlSeconds: row.x509_ttl_seconds,
    jwtTtlSeconds: row.jwt_ttl_seconds,
    dnsNames: row.dns_names,
    federatesWith: row.federates_with,
    hint: row.hint ?? undefined,
    cluster: row.cluster ?? undefined,
    expiresAt: row.expires_at ?? undefined,
    version: row.version,
    createdAt: row.created_at,
  }
}
