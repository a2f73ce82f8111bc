import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'

/** A join token as it is stored; the token itself is not. */
export interface StoredToken {
  readonly id: string
  readonly entryId: string
  readonly spiffeId: SpiffeId
  readonly expiresAt: Date
  readonly usedAt: Date | undefined
  readonly createdAt: Date
}

/** A new join token. */
export interface NewToken {
  readonly id: string
  readonly entryId: string
  readonly hash: Uint8Array
  readonly expiresAt: Date
  readonly createdAt: Date
}

/** Stores a new token. */
export async function insertToken(trx: Db, meshId: MeshId, token: NewToken): Promise<void> {
  await trx
    .insertInto('join_token')
    .values({
      mesh_id: meshId,
      id: token.id,
      entry_id: token.entryId,
      hash: token.hash,
      expires_at: token.expiresAt,
      used_at: null,
      created_at: token.createdAt,
    })
    .execute()
}

/** The token with this hash that could still be used, if there is one. */
export async function findUsable(
  db: Db,
  meshId: MeshId,
  { hash, now }: { readonly hash: Uint8Array; readonly now: Date },
): Promise<{ readonly id: string; readonly entryId: string } | undefined> {
  const row = await db
    .selectFrom('join_token')
    .select(['id', 'entry_id'])
    .where('mesh_id', '=', meshId)
    .where('hash', '=', hash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirst()
  return row === undefined ? undefined : { id: row.id, entryId: row.entry_id }
}

/** Uses a token up; false when somebody did before, or it has ended. */
export async function markUsed(
  trx: Db,
  meshId: MeshId,
  { id, now }: { readonly id: string; readonly now: Date },
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('join_token')
    .set({ used_at: now })
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Which part of the list is wanted. */
export interface TokenPage {
  /** Only of entries tied to these clusters; undefined = all. */
  readonly among?: readonly string[] | undefined
  readonly entryId?: string | undefined
  /** Id of the last one shown before. */
  readonly after?: string | undefined
  readonly limit: number
}

/** Join tokens by id, used and ended ones included until they are pruned. */
export async function listTokens(db: Db, meshId: MeshId, page: TokenPage): Promise<StoredToken[]> {
  let query = withEntry(db, meshId).orderBy('join_token.id').limit(page.limit)
  if (page.entryId !== undefined) query = query.where('join_token.entry_id', '=', page.entryId)
  if (page.after !== undefined) query = query.where('join_token.id', '>', page.after)
  const { among } = page
  if (among !== undefined) {
    query = query.where('entry.cluster', 'in', among.length === 0 ? [''] : among)
  }
  return (await query.execute()).map(tokenOf)
}

/** The token with this id. */
export async function findToken(
  db: Db,
  meshId: MeshId,
  id: string,
): Promise<StoredToken | undefined> {
  const row = await withEntry(db, meshId).where('join_token.id', '=', id).executeTakeFirst()
  return row === undefined ? undefined : tokenOf(row)
}

/** Deletes a token; whoever holds it can use it no more. */
export async function deleteToken(trx: Db, meshId: MeshId, id: string): Promise<void> {
  await trx.deleteFrom('join_token').where('mesh_id', '=', meshId).where('id', '=', id).execute()
}

/** How many tokens of an entry could still be used. */
export async function countUsable(
  db: Db,
  meshId: MeshId,
  { entryId, now }: { readonly entryId: string; readonly now: Date },
): Promise<number> {
  const { count } = await db
    .selectFrom('join_token')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .where('mesh_id', '=', meshId)
    .where('entry_id', '=', entryId)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Deletes tokens that were used or ended before a moment, in all meshes; answers how many. */
export async function deleteOldTokens(db: Db, before: Date): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('join_token')
    .where((eb) => eb.or([eb('used_at', '<', before), eb('expires_at', '<', before)]))
    .executeTakeFirst()
  return Number(numDeletedRows)
}

function withEntry(db: Db, meshId: MeshId) {
  return db
    .selectFrom('join_token')
    .innerJoin('entry', (join) =>
      join
        .onRef('entry.mesh_id', '=', 'join_token.mesh_id')
        .onRef('entry.id', '=', 'join_token.entry_id'),
    )
    .select([
      'join_token.id as id',
      'join_token.entry_id as entry_id',
      'entry.spiffe_id as spiffe_id',
      'join_token.expires_at as expires_at',
      'join_token.used_at as used_at',
      'join_token.created_at as created_at',
    ])
    .where('join_token.mesh_id', '=', meshId)
}

interface TokenRow {
  readonly id: string
  readonly entry_id: string
  readonly spiffe_id: SpiffeId
  readonly expires_at: Date
  readonly used_at: Date | null
  readonly created_at: Date
}

function tokenOf(row: TokenRow): StoredToken {
  return {
    id: row.id,
    entryId: row.entry_id,
    spiffeId: row.spiffe_id,
    expiresAt: row.expires_at,
    usedAt: row.used_at ?? undefined,
    createdAt: row.created_at,
  }
}
