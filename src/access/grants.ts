import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { newId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { isUniqueViolation } from '../db/failures.ts'
import { ServiceError, quoted } from '../errors.ts'
import * as store from './grant-store.ts'
import type { StoredGrant } from './grant-store.ts'
import { requireMayGrant } from './may-grant.ts'
import { noSuchMesh } from './no-such-mesh.ts'
import { type OwnerScope, ownerMeshesOf } from './owner-scope.ts'
import { type Grant, type Principal, scopeText } from './principal.ts'
import { hasMesh, lockPlatformAdmins, lockToken } from './store.ts'

/** Grants that one token can have. */
export const MAX_GRANTS_PER_TOKEN = 64

/** The author of a change of tokens or grants. */
export interface GrantContext extends ChangeContext {
  readonly principal: Principal
}

/** The context of a change by a principal. */
export function contextOf(principal: Principal, now: Date): GrantContext {
  return { principal, actor: principal.name, now }
}

/**
 * Gives a token one more grant, in the caller's transaction; it holds from the commit on.
 *
 * Throws FORBIDDEN for more than the author holds, NOT_FOUND for a token that the author does not see or that was
 * revoked and for a mesh that does not exist, ALREADY_EXISTS, and CONFLICT beyond {@link MAX_GRANTS_PER_TOKEN}.
 */
export async function createGrant(
  trx: Db,
  { tokenId, grant }: { readonly tokenId: string; readonly grant: Grant },
  context: GrantContext,
): Promise<StoredGrant> {
  requireMayGrant(context.principal, grant)
  await requireMesh(trx, grant)
  const token = await lockToken(trx, tokenId)
  const held = (await store.findGrantsOf(trx, [tokenId])).get(tokenId) ?? []
  const meshes = ownerMeshesOf(context.principal, 'grant.create')
  if (token === undefined || token.revokedAt !== undefined || !isSeen(held, meshes)) {
    throw noSuchToken(tokenId)
  }
  if (held.length >= MAX_GRANTS_PER_TOKEN) throw tooMany(tokenId)
  const stored = { ...grant, id: newId(), tokenId, createdAt: context.now }
  try {
    await store.insertGrants(trx, [stored])
  } catch (error) {
    if (isUniqueViolation(error)) throw alreadyGranted(grant, error)
    throw error
  }
  await record(trx, stored, { ...context, action: 'grant.create' })
  return stored
}

/**
 * Takes a grant away, in the caller's transaction: from the commit on no request is let in by it.
 *
 * Throws NOT_FOUND also for grants that the author does not see, FORBIDDEN for more than the author could give, and
 * CONFLICT for the last one that may do everything.
 */
export async function deleteGrant(
  trx: Db,
  id: string,
  context: GrantContext,
): Promise<StoredGrant> {
  const admins = await lockPlatformAdmins(trx, context.now)
  const grant = await loadGrant(trx, id, ownerMeshesOf(context.principal, 'grant.delete'))
  requireMayGrant(context.principal, grant)
  const isLast = admins.length === 1 && admins[0] === grant.tokenId
  if (isLast && grant.role === 'platform-admin') throw lastOne()
  await store.deleteGrant(trx, id)
  await record(trx, grant, { ...context, action: 'grant.delete' })
  return grant
}

/** The grant with this id, if it lies in these meshes; throws NOT_FOUND. */
export async function loadGrant(db: Db, id: string, meshes: OwnerScope): Promise<StoredGrant> {
  const [grant] = await store.listGrants(db, { id, meshes, limit: 1 })
  if (grant !== undefined) return grant
  throw new ServiceError('NOT_FOUND', `there is no grant ${quoted(id)}`, {
    next: 'entente grant list',
  })
}

/** Grants, without those that do not lie in these meshes. */
export function seenGrants(grants: readonly StoredGrant[], meshes: OwnerScope): StoredGrant[] {
  return grants.filter(
    ({ scope }) =>
      meshes === undefined || (scope.kind !== 'everything' && meshes.includes(scope.meshId)),
  )
}

/** Whether whoever has these meshes sees a token with these grants: some of them lies there. */
export function isSeen(grants: readonly StoredGrant[], meshes: OwnerScope): boolean {
  return meshes === undefined || seenGrants(grants, meshes).length > 0
}

/** Throws NOT_FOUND when the mesh of a grant does not exist; ask only after {@link requireMayGrant}. */
export async function requireMesh(trx: Db, { scope }: Grant): Promise<void> {
  if (scope.kind === 'everything' || (await hasMesh(trx, scope.meshId))) return
  throw noSuchMesh(scope.meshId)
}

/** The refusal for a token that does not exist or is not seen. */
export function noSuchToken(id: string): ServiceError {
  return new ServiceError('NOT_FOUND', `there is no API token ${quoted(id)}`, {
    next: 'entente api-token list',
  })
}

/** The refusal to take away the last platform-admin. */
export function lastOne(title = 'the token'): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `${title} is the last one that may do everything, and stays`,
    { next: 'make another one first: entente api-token create LABEL' },
  )
}

async function record(
  trx: Db,
  { id, tokenId, role, scope }: StoredGrant,
  { actor, now, action }: ChangeContext & { readonly action: string },
): Promise<void> {
  await recordAudit(trx, {
    meshId: scope.kind === 'everything' ? undefined : scope.meshId,
    actor,
    action,
    object: `grant/${id}`,
    body: { tokenId, role, scope },
    at: now,
  })
}

function alreadyGranted({ role, scope }: Grant, cause: unknown): ServiceError {
  return new ServiceError('ALREADY_EXISTS', `the token is ${role} on ${scopeText(scope)} already`, {
    cause,
    next: 'entente grant list --token ID',
  })
}

function tooMany(tokenId: string): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `token ${quoted(tokenId)} has ${MAX_GRANTS_PER_TOKEN} grants, as many as one can have`,
    { next: 'take one away, or name several namespaces in one: entente grant list --token ID' },
  )
}
