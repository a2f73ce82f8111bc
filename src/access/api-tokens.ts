import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { addSeconds } from '../clock.ts'
import { newId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { ServiceError, quoted } from '../errors.ts'
import type { Grant, Scope } from './principal.ts'
import {
  type StoredGrant,
  type StoredToken,
  findGrants,
  findToken,
  hasMesh,
  insertGrants,
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
  /** Good for this mesh only; undefined: everything. */
  readonly meshId: string | undefined
}

/** A token with what it may do. */
export interface TokenWithGrants {
  readonly token: StoredToken
  readonly grants: readonly StoredGrant[]
}

/**
 * Makes an API token; the secret is in the answer and nowhere else.
 *
 * Throws NOT_FOUND when its mesh does not exist and INVALID_REQUEST for the reserved label.
 */
export async function createApiToken(
  trx: Db,
  wanted: NewApiToken,
  context: ChangeContext,
): Promise<TokenWithGrants & { readonly secret: string }> {
  if (wanted.label === ADMIN_LABEL) {
    throw new ServiceError(
      'INVALID_REQUEST',
      `the label ${quoted(ADMIN_LABEL)} is kept for the token that the service makes itself`,
      { next: 'choose a label that says what the token is for; entente admin-token reset' },
    )
  }
  const scope = await scopeOf(trx, wanted.meshId)
  const secret = newToken()
  const expiresAt = addSeconds(context.now, wanted.ttlSeconds)
  const stored = await storeToken(trx, {
    ...context,
    token: { secret, label: wanted.label, expiresAt },
    grants: [{ role: scope.kind === 'mesh' ? 'mesh-admin' : 'platform-admin', scope }],
  })
  return { ...stored, secret }
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
    actor: wanted.actor,
    action: 'api-token.create',
    object: objectOf(token),
    body: { tokenId: id, label, expiresAt: expiresAt ?? null, grants: wanted.grants },
    at: wanted.now,
  })
  return { token: { ...token, revokedAt: undefined }, grants }
}

/** The token with this id and what it may do; throws NOT_FOUND. */
export async function loadApiToken(db: Db, id: string): Promise<TokenWithGrants> {
  const token = await findToken(db, id)
  if (token === undefined) {
    throw new ServiceError('NOT_FOUND', `there is no API token ${quoted(id)}`, {
      next: 'entente api-token list',
    })
  }
  return { token, grants: await findGrants(db, id) }
}

/**
 * Revokes a token: from its commit on no request with it is answered.
 *
 * Throws NOT_FOUND, and CONFLICT for the last token that may do everything.
 */
export async function revokeApiToken(
  trx: Db,
  id: string,
  context: ChangeContext,
): Promise<TokenWithGrants> {
  const admins = await lockPlatformAdmins(trx, context.now)
  const { token, grants } = await loadApiToken(trx, id)
  if (admins.length === 1 && admins[0] === id) {
    throw new ServiceError(
      'CONFLICT',
      `token ${quoted(token.label)} is the last one that may do everything, and stays`,
      { next: 'make another one first: entente api-token create LABEL' },
    )
  }
  const revokedAt = token.revokedAt ?? context.now
  if (await revokeToken(trx, id, revokedAt)) await recordRevocation(trx, token, context)
  return { token: { ...token, revokedAt }, grants }
}

/** Records that a token was revoked. */
export async function recordRevocation(
  trx: Db,
  token: { readonly id: string; readonly label: string },
  context: ChangeContext,
): Promise<void> {
  await recordAudit(trx, {
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

async function scopeOf(trx: Db, meshId: string | undefined): Promise<Scope> {
  if (meshId === undefined) return { kind: 'everything' }
  if (await hasMesh(trx, meshId)) return { kind: 'mesh', meshId }
  throw new ServiceError('NOT_FOUND', `there is no mesh ${quoted(meshId)}`, {
    next: 'entente mesh list',
  })
}
