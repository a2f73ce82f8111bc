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
