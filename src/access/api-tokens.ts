import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { addSeconds } from '../clock.ts'
import { newId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { ServiceError, quoted } from '../errors.ts'
import { type StoredGrant, findGrants, insertGrants } from './grant-store.ts'
import {
  type GrantContext,
  isSeen,
  lastOne,
  noSuchToken,
  requireMesh,
  seenGrants,
} from './grants.ts'
import { mayGrant, requireMayGrant } from './may-grant.ts'
import { type OwnerScope, ownerMeshesOf } from './owner-scope.ts'
import type { Grant, Principal } from './principal.ts'
import {
  type StoredToken,
  findToken,
  insertToken,
  lockPlatformAdmins,
  revokeToken,
} from './store.ts'
import { hashToken, newToken } from './token.ts'

/** The label of the token that the service makes itself; no other may have it. */
export const ADMIN_LABEL = 'admin'

/** What is wanted of a new token. */
export interface NewApiToken {
  readonly label: string
  readonly ttlSeconds: number
  /** Its first grant. */
  readonly grant: Grant
}

/** A token with what it may do. */
export interface TokenWithGrants {
  readonly token: StoredToken
  readonly grants: readonly StoredGrant[]
}

/**
 * Makes an API token; the secret is in the answer and nowhere else.
 *
 * Throws FORBIDDEN for more than its author holds, NOT_FOUND when its mesh does not exist and INVALID_REQUEST for the
 * reserved label.
 */
export async function createApiToken(
  trx: Db,
  wanted: NewApiToken,
  context: GrantContext,
): Promise<TokenWithGrants & { readonly secret: string }> {
  if (wanted.label === ADMIN_LABEL) {
    throw new ServiceError(
      'INVALID_REQUEST',
      `the label ${quoted(ADMIN_LABEL)} is kept for the token that the service makes itself`,
      { next: 'choose a label that says what the token is for; entente admin-token reset' },
    )
  }
  requireMayGrant(context.principal, wanted.grant)
  await requireMesh(trx, wanted.grant)
  const secret = newToken()
  const expiresAt = endOf(wanted, context)
  const stored = await storeToken(trx, {
    actor: context.actor,
    now: context.now,
    token: { secret, label: wanted.label, expiresAt },
    grants: [wanted.grant],
  })
  return { ...stored, secret }
}

// What somebody makes does not outlive what they made it with.
function endOf({ ttlSeconds }: NewApiToken, { principal, now }: GrantContext): Date {
  const wanted = addSeconds(now, ttlSeconds)
  const most = principal.expiresAt
  return most !== undefined && most < wanted ? most : wanted
}

/** What {@link storeToken} stores. */
export interface TokenToStore extends ChangeContext {
  readonly token: {
    readonly secret: string
    readonly label: string
    readonly expiresAt: Date | undefined
  }
  readonly grants: readonly Grant[]
}

/** Stores a token's hash and grants, and records that. */
export async function storeToken(trx: Db, wanted: TokenToStore): Promise<TokenWithGrants> {
  const { label, secret, expiresAt } = wanted.token
  const id = newId()
  const token = { id, label, hash: hashToken(secret), createdAt: wanted.now, expiresAt }
  const grants = wanted.grants.map((grant) => ({
    ...grant,
    id: newId(),
    tokenId: id,
    createdAt: wanted.now,
  }))
  await insertToken(trx, token)
  await insertGrants(trx, grants)
  await recordAudit(trx, {
    meshId: meshOf(grants),
    actor: wanted.actor,
    action: 'api-token.create',
    object: objectOf(token),
    body: { tokenId: id, label, expiresAt: expiresAt ?? null, grants: wanted.grants },
    at: wanted.now,
  })
  return { token: { ...token, revokedAt: undefined }, grants }
}

/** The token with this id and what it may do, as whoever has these meshes sees it; throws NOT_FOUND. */
export async function loadApiToken(
  db: Db,
  id: string,
  meshes: OwnerScope,
): Promise<TokenWithGrants> {
  const token = await findToken(db, id)
  const grants = await findGrants(db, id)
  if (token === undefined || !isSeen(grants, meshes)) throw noSuchToken(id)
  return { token, grants: seenGrants(grants, meshes) }
}

/**
 * Revokes a token: from its commit on no request with it is answered.
 *
 * Throws NOT_FOUND also for tokens that the author does not see, FORBIDDEN for one with grants that the author could
 * not give, and CONFLICT for the last token that may do everything.
 */
export async function revokeApiToken(
  trx: Db,
  id: string,
  context: GrantContext,
): Promise<TokenWithGrants> {
  const admins = await lockPlatformAdmins(trx, context.now)
  const { token, grants } = await loadApiToken(
    trx,
    id,
    ownerMeshesOf(context.principal, 'api-token.delete'),
  )
  await requireMayRevoke(trx, id, context.principal)
  if (admins.length === 1 && admins[0] === id) throw lastOne(`token ${quoted(token.label)}`)
  const revokedAt = token.revokedAt ?? context.now
  const isRevoked = await revokeToken(trx, id, revokedAt)
  if (isRevoked) await recordRevocation(trx, { ...token, grants }, context)
  return { token: { ...token, revokedAt }, grants }
}

/** Whoever made a token for several meshes takes it back; of one mesh's administrators each takes the own grants. */
async function requireMayRevoke(trx: Db, id: string, { grants }: Principal): Promise<void> {
  const all = await findGrants(trx, id)
  if (all.every((grant) => mayGrant(grants, grant))) return
  throw new ServiceError('FORBIDDEN', 'the token reaches further than your own grants', {
    next: `take away what it may do in your mesh: entente grant list --token ${id}`,
  })
}

/** Records that a token was revoked. */
export async function recordRevocation(
  trx: Db,
  token: { readonly id: string; readonly label: string; readonly grants?: readonly Grant[] },
  context: ChangeContext,
): Promise<void> {
  await recordAudit(trx, {
    meshId: meshOf(token.grants ?? []),
    actor: context.actor,
    action: 'api-token.delete',
    object: objectOf(token),
    body: { tokenId: token.id, label: token.label },
    at: context.now,
  })
}

function objectOf(token: { readonly id: string; readonly label: string }): string {
  return `api-token/${token.label}:${token.id.slice(0, 8)}`
}

/** The mesh whose log a token belongs in: the only one that it reaches. */
function meshOf(grants: readonly Grant[]): string | undefined {
  const meshes = grants.map(({ scope }) => (scope.kind === 'everything' ? undefined : scope.meshId))
  const [first] = meshes
  return meshes.every((mesh) => mesh === first) ? first : undefined
}
