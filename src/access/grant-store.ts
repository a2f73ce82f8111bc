import type { Selectable } from 'kysely'
import type { Db } from '../db/schema.ts'
import type { GrantsTable } from '../db/schema-access.ts'
import { type Role, ROLES } from './actions.ts'
import type { HeldGrant, Scope } from './principal.ts'

/** A grant as it is stored. */
export interface StoredGrant extends HeldGrant {
  readonly tokenId: string
  readonly createdAt: Date
}

const COLUMNS = ['id', 'principal', 'role', 'scope_kind', 'mesh_id', 'names', 'created_at'] as const

type GrantRow = Pick<Selectable<GrantsTable>, (typeof COLUMNS)[number]>

/** Stores what a token may do. */
export async function insertGrants(trx: Db, grants: readonly StoredGrant[]): Promise<void> {
  const rows = grants.map(({ id, tokenId, role, scope, createdAt }) => ({
    id,
    principal: tokenId,
    role,
    scope_kind: scope.kind,
    mesh_id: scope.kind === 'everything' ? null : scope.meshId,
    names: 'names' in scope ? JSON.stringify(scope.names) : null,
    created_at: createdAt,
  }))
  if (rows.length > 0) await trx.insertInto('grants').values(rows).execute()
}

/** What a token may do. */
export async function findGrants(db: Db, tokenId: string): Promise<StoredGrant[]> {
  const grants = await findGrantsOf(db, [tokenId])
  return grants.get(tokenId) ?? []
}

/** What several tokens may do, by token id. */
export async function findGrantsOf(
  db: Db,
  tokenIds: readonly string[],
): Promise<Map<string, StoredGrant[]>> {
  const grants = new Map<string, StoredGrant[]>()
  if (tokenIds.length === 0) return grants
  const rows = await db
    .selectFrom('grants')
    .select(COLUMNS)
    .where('principal', 'in', tokenIds)
    .orderBy('created_at')
    .orderBy('id')
    .execute()
  for (const row of rows) {
    const grant = grantOf(row)
    if (grant === undefined) continue
    grants.set(row.principal, [...(grants.get(row.principal) ?? []), grant])
  }
  return grants
}

/** Which grants are wanted, by id. */
export interface GrantPage {
  readonly id?: string | undefined
  readonly tokenId?: string | undefined
  readonly after?: string | undefined
  /** Only grants in these meshes; undefined = all. */
  readonly meshes: readonly string[] | undefined
  readonly limit: number
}

/** Grants by id. */
export async function listGrants(db: Db, page: GrantPage): Promise<StoredGrant[]> {
  const { id, tokenId, after, meshes, limit } = page
  let query = db.selectFrom('grants').select(COLUMNS)
  if (id !== undefined) query = query.where('id', '=', id)
  if (tokenId !== undefined) query = query.where('principal', '=', tokenId)
  if (after !== undefined) query = query.where('id', '>', after)
  if (meshes !== undefined) {
    query = query.where('mesh_id', 'in', meshes.length === 0 ? [''] : meshes)
  }
  const rows = await query.orderBy('id').limit(limit).execute()
  return rows.flatMap((row) => grantOf(row) ?? [])
}

/** Takes a grant away. */
export async function deleteGrant(trx: Db, id: string): Promise<void> {
  await trx.deleteFrom('grants').where('id', '=', id).execute()
}

/** Takes away every grant on a mesh; answers how many. */
export async function deleteMeshGrants(trx: Db, meshId: string): Promise<number> {
  const result = await trx.deleteFrom('grants').where('mesh_id', '=', meshId).executeTakeFirst()
  return Number(result.numDeletedRows)
}

/** A role or scope that this code does not know gives nothing. */
function grantOf(row: GrantRow): StoredGrant | undefined {
  const { id, role, principal: tokenId, created_at: createdAt } = row
  const scope = scopeOf(row)
  if (!isRole(role) || scope === undefined) return undefined
  return { id, tokenId, role, scope, createdAt }
}

function scopeOf({ scope_kind: kind, mesh_id: meshId, names }: GrantRow): Scope | undefined {
  if (kind === 'everything') return { kind }
  if (meshId === null) return undefined
  return kind === 'mesh' ? { kind, meshId } : { kind, meshId, names: names ?? [] }
}

function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text)
}
