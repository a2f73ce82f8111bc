import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'

/** A token as it is stored; the secret itself never is. */
export interface StoredToken {
  readonly id: string
  readonly label: string
  readonly hash: Uint8Array
  readonly createdAt: Date
  readonly expiresAt: Date | undefined
  readonly revokedAt: Date | undefined
}

const COLUMNS = ['id', 'label', 'hash', 'created_at', 'expires_at', 'revoked_at'] as const

interface Row {
  readonly id: string
  readonly label: string
  readonly hash: Uint8Array
  readonly created_at: Date
  readonly expires_at: Date | null
  readonly revoked_at: Date | null
}

/** The token with this hash. */
export async function findTokenByHash(db: Db, hash: Uint8Array): Promise<StoredToken | undefined> {
  const row = await db
    .selectFrom('api_token')
    .select(COLUMNS)
    .where('hash', '=', hash)
    .executeTakeFirst()
  return row === undefined ? undefined : tokenOf(row)
}

/** The token with this id. */
export async function findToken(db: Db, id: string): Promise<StoredToken | undefined> {
  const row = await db
    .selectFrom('api_token')
    .select(COLUMNS)
    .where('id', '=', id)
    .executeTakeFirst()
  return row === undefined ? undefined : tokenOf(row)
}

/** The token with this id, locked until the transaction ends. */
export async function lockToken(trx: Db, id: string): Promise<StoredToken | undefined> {
  const row = await trx
    .selectFrom('api_token')
    .select(COLUMNS)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : tokenOf(row)
}

/** Tokens by id, those behind `after`; revoked ones are left out. */
export async function listTokens(
  db: Db,
  { after, meshes, limit }: TokenPage,
): Promise<StoredToken[]> {
  let query = db.selectFrom('api_token').select(COLUMNS).where('revoked_at', 'is', null)
  if (after !== undefined) query = query.where('id', '>', after)
  if (meshes !== undefined) {
    query = query.where(sql<string>`id::text`, 'in', (from) =>
      from
        .selectFrom('grants')
        .select('principal')
        .where('mesh_id', 'in', meshes.length === 0 ? [''] : meshes),
    )
  }
  const rows = await query.orderBy('id').limit(limit).execute()
  return rows.map(tokenOf)
}

/** Which part of the list of tokens is wanted. */
export interface TokenPage {
  readonly after: string | undefined
  /** Only tokens with a grant in one of these meshes; undefined = all. */
  readonly meshes: readonly string[] | undefined
  readonly limit: number
}

/** Stores a token's hash. */
export async function insertToken(trx: Db, token: Omit<StoredToken, 'revokedAt'>): Promise<void> {
  await trx
    .insertInto('api_token')
    .values({
      id: token.id,
      label: token.label,
      hash: token.hash,
      created_at: token.createdAt,
      expires_at: token.expiresAt ?? null,
      revoked_at: null,
    })
    .execute()
}

/** Marks a token as revoked and takes its grants away; false when it was revoked before. */
export async function revokeToken(trx: Db, id: string, at: Date): Promise<boolean> {
  const result = await trx
    .updateTable('api_token')
    .set({ revoked_at: at })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  await trx.deleteFrom('grants').where('principal', '=', id).execute()
  return result.numUpdatedRows > 0n
}

/**
 * Ids of the tokens that may do everything now; locks their rows, so that two deletions at once cannot each
 * believe that the other's token stays.
 */
export async function lockPlatformAdmins(trx: Db, now: Date): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id::text as id from api_token
    where revoked_at is null and (expires_at is null or expires_at > ${now})
      and exists (select 1 from grants where principal = api_token.id::text
        and role = 'platform-admin' and scope_kind = 'everything')
    order by id for update of api_token`.execute(trx)
  return rows.map((row) => row.id)
}

/** Ids of living tokens with this label. */
export async function findLabelled(trx: Db, label: string): Promise<string[]> {
  const rows = await trx
    .selectFrom('api_token')
    .select('id')
    .where('label', '=', label)
    .where('revoked_at', 'is', null)
    .execute()
  return rows.map((row) => row.id)
}

const FIRST_ADMIN = 'first-admin-token'

/** Whether this database has had its first admin token. */
export async function isFirstAdminTokenMade(db: Db): Promise<boolean> {
  const row = await db
    .selectFrom('service_meta')
    .select('name')
    .where('name', '=', FIRST_ADMIN)
    .executeTakeFirst()
  return row !== undefined
}

/** Notes that the first admin token is made; true for one caller only, also among replicas. */
export async function claimFirstAdminToken(trx: Db): Promise<boolean> {
  const result = await trx
    .insertInto('service_meta')
    .values({ name: FIRST_ADMIN, value: 'made' })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .executeTakeFirst()
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** Whether a mesh of this id exists. */
export async function hasMesh(db: Db, meshId: string): Promise<boolean> {
  const row = await db
    .selectFrom('mesh')
    .select('mesh_id')
    .where(sql<string>`mesh_id`, '=', meshId)
    .executeTakeFirst()
  return row !== undefined
}

/** Forgets tokens that were revoked or ended before `before`, with their grants; answers how many. */
export async function deleteDeadTokens(trx: Db, before: Date): Promise<number> {
  const dead = await trx
    .deleteFrom('api_token')
    .where((where) =>
      where.or([where('revoked_at', '<', before), where('expires_at', '<', before)]),
    )
    .returning('id')
    .execute()
  const ids = dead.map((row) => row.id)
  if (ids.length > 0) await trx.deleteFrom('grants').where('principal', 'in', ids).execute()
  return ids.length
}

function tokenOf(row: Row): StoredToken {
  return {
    id: row.id,
    label: row.label,
    hash: row.hash,
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
  }
}
