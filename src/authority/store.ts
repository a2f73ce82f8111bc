import { sql } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { Authority, StoredAuthority } from './authority.ts'

const FACTS = [
  'trust_domain',
  'id',
  'kind',
  'cluster',
  'parent_id',
  'state',
  'not_before',
  'not_after',
  'prepared_at',
  'published_sequence',
  'published_at',
  'remove_at',
  'endpoint_only',
] as const
const AUTHORITY = [
  ...FACTS,
  'mesh_id',
  'certificate',
  'public_key',
  'key_id',
  'activated_at',
  'retired_at',
  'removed_at',
  'forced',
] as const

/** A new authority with its private key sealed. */
export interface NewAuthority extends Pick<
  StoredAuthority,
  | 'meshId'
  | 'trustDomain'
  | 'id'
  | 'kind'
  | 'cluster'
  | 'parentId'
  | 'notBefore'
  | 'notAfter'
  | 'certificate'
  | 'publicKey'
  | 'keyId'
  | 'preparedAt'
> {
  readonly sealedKey: Uint8Array
}

/** Stores a new authority in state `prepared`. */
export async function insertAuthority(trx: Db, authority: NewAuthority): Promise<void> {
  await trx
    .insertInto('authority')
    .values({
      mesh_id: authority.meshId,
      id: authority.id,
      trust_domain: authority.trustDomain,
      kind: authority.kind,
      cluster: authority.cluster ?? null,
      parent_id: authority.parentId ?? null,
      state: 'prepared',
      not_before: authority.notBefore,
      not_after: authority.notAfter,
      certificate: authority.certificate ?? null,
      public_key: authority.publicKey,
      key_id: authority.keyId,
      sealed_key: authority.sealedKey,
      prepared_at: authority.preparedAt,
      published_sequence: null,
      published_at: null,
      activated_at: null,
      retired_at: null,
      remove_at: null,
      removed_at: null,
    })
    .execute()
}

const columns = (db: Db) =>
  db
    .selectFrom('authority')
    .select(AUTHORITY)
    .select((row) => row('sealed_key', 'is not', null).as('has_key'))

/** Authorities of a mesh's trust domain that are not removed, the oldest first. */
export async function listLiving(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<StoredAuthority[]> {
  const rows = await columns(db)
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', trustDomain)
    .where('state', '!=', 'removed')
    .orderBy('prepared_at')
    .orderBy('id')
    .execute()
  return rows.map(authorityOf)
}

/** The facts of every authority of the service that is not removed, the oldest first. */
export async function listAllLiving(
  db: Db,
): Promise<(Authority & Pick<StoredAuthority, 'trustDomain'>)[]> {
  const rows = await db
    .selectFrom('authority')
    .select(FACTS)
    .select((row) => row('sealed_key', 'is not', null).as('has_key'))
    .where('state', '!=', 'removed')
    .orderBy('prepared_at')
    .orderBy('id')
    .execute()
  return rows.map((row) => ({ ...factsOf(row), trustDomain: row.trust_domain }))
}

/** A page of a mesh's authorities by id, the removed ones included when asked for. */
export async function listPage(
  db: Db,
  meshId: MeshId,
  page: {
    readonly trustDomain?: TrustDomain | undefined
    readonly after?: string | undefined
    readonly limit: number
    readonly removed: boolean
  },
): Promise<StoredAuthority[]> {
  let query = columns(db).where('mesh_id', '=', meshId).orderBy('id').limit(page.limit)
  if (page.trustDomain !== undefined) query = query.where('trust_domain', '=', page.trustDomain)
  if (page.after !== undefined) query = query.where('id', '>', page.after)
  if (!page.removed) query = query.where('state', '!=', 'removed')
  return (await query.execute()).map(authorityOf)
}

/** One authority of a mesh. */
export async function findAuthority(
  db: Db,
  meshId: MeshId,
  id: string,
): Promise<StoredAuthority | undefined> {
  const row = await columns(db)
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .executeTakeFirst()
  return row === undefined ? undefined : authorityOf(row)
}

/** An authority with its sealed private key, read at one moment. */
export interface WithKey {
  readonly authority: StoredAuthority
  readonly sealedKey: Uint8Array
}

/** Authorities of a trust domain that keep their private key, with it; not the removed ones. */
export async function listWithKeys(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<WithKey[]> {
  const rows = await columns(db)
    .select('sealed_key')
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', trustDomain)
    .where('state', '!=', 'removed')
    .where('sealed_key', 'is not', null)
    .execute()
  return rows.flatMap((row) =>
    row.sealed_key === null ? [] : [{ authority: authorityOf(row), sealedKey: row.sealed_key }],
  )
}

/** The sealed private key of an authority, while it is kept. */
export async function findSealedKey(
  db: Db,
  meshId: MeshId,
  id: string,
): Promise<Uint8Array | undefined> {
  const row = await db
    .selectFrom('authority')
    .select('sealed_key')
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .executeTakeFirst()
  return row?.sealed_key ?? undefined
}

/** Notes in which bundle the authorities of a trust domain that were not published yet first stood. */
export async function markPublished(
  trx: Db,
  meshId: MeshId,
  published: {
    readonly trustDomain: TrustDomain
    readonly sequence: bigint
    readonly at: Date
  },
): Promise<void> {
  await trx
    .updateTable('authority')
    .set({ published_sequence: published.sequence, published_at: published.at })
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', published.trustDomain)
    .where('kind', '!=', 'x509_intermediate')
    .where('state', '!=', 'removed')
    .where('published_sequence', 'is', null)
    .execute()
}

/** Lets a prepared authority sign from now on. */
export async function setActive(
  trx: Db,
  meshId: MeshId,
  change: { readonly id: string; readonly at: Date; readonly forced: boolean },
): Promise<void> {
  await trx
    .updateTable('authority')
    .set({ state: 'active', activated_at: change.at, forced: change.forced })
    .where('mesh_id', '=', meshId)
    .where('id', '=', change.id)
    .where('state', '=', 'prepared')
    .execute()
}

/** Retires an active authority; its key is erased unless it stays for endpoint SVIDs. */
export async function setRetired(
  trx: Db,
  meshId: MeshId,
  change: {
    readonly id: string
    readonly at: Date
    readonly removeAt: Date
    readonly endpointOnly: boolean
  },
): Promise<void> {
  await trx
    .updateTable('authority')
    .set({
      state: 'retired',
      retired_at: change.at,
      remove_at: change.removeAt,
      endpoint_only: change.endpointOnly,
      ...(change.endpointOnly ? {} : { sealed_key: null }),
    })
    .where('mesh_id', '=', meshId)
    .where('id', '=', change.id)
    .where('state', '=', 'active')
    .execute()
}

/** Removes authorities and erases what is left of their private keys. */
export async function setRemoved(
  trx: Db,
  meshId: MeshId,
  change: { readonly ids: readonly string[]; readonly at: Date },
): Promise<void> {
  if (change.ids.length === 0) return
  await trx
    .updateTable('authority')
    .set({ state: 'removed', removed_at: change.at, sealed_key: null, endpoint_only: false })
    .where('mesh_id', '=', meshId)
    .where('id', 'in', [...change.ids])
    .where('state', '!=', 'removed')
    .execute()
}

/** Deletes authorities that were removed, and ended, before `before`, and have none below them any more. */
export async function pruneRemoved(db: Db, before: Date): Promise<bigint> {
  const { numAffectedRows } = await sql`
    delete from authority as gone
    where state = 'removed' and removed_at < ${before} and not_after < ${before}
      and not exists (
        select 1 from authority as below
        where below.mesh_id = gone.mesh_id and below.parent_id = gone.id
      )`.execute(db)
  return numAffectedRows ?? 0n
}

type Row = Awaited<ReturnType<ReturnType<typeof columns>['executeTakeFirstOrThrow']>>

function factsOf(row: Pick<Row, (typeof FACTS)[number] | 'has_key'>): Authority {
  return {
    id: row.id,
    kind: row.kind,
    cluster: row.cluster ?? undefined,
    parentId: row.parent_id ?? undefined,
    state: row.state,
    notBefore: row.not_before,
    notAfter: row.not_after,
    preparedAt: row.prepared_at,
    publishedSequence: row.published_sequence ?? undefined,
    publishedAt: row.published_at ?? undefined,
    removeAt: row.remove_at ?? undefined,
    endpointOnly: row.endpoint_only,
    hasKey: Boolean(row.has_key),
  }
}

function authorityOf(row: Row): StoredAuthority {
  return {
    ...factsOf(row),
    meshId: row.mesh_id,
    trustDomain: row.trust_domain,
    certificate: row.certificate ?? undefined,
    publicKey: row.public_key,
    keyId: row.key_id,
    activatedAt: row.activated_at ?? undefined,
    retiredAt: row.retired_at ?? undefined,
    removedAt: row.removed_at ?? undefined,
    forced: row.forced,
  }
}
