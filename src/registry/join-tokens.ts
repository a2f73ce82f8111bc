import { isOwned, requireOwned } from '../access/owner-scope.ts'
import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { workloadRootOf } from '../authority/endpoint-issuer.ts'
import { signedElsewhere } from '../authority/signers.ts'
import { addSeconds, wholeSeconds } from '../clock.ts'
import { type MeshId, newId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { loadMesh } from '../mesh/find-mesh.ts'
import { joinSecretHash, newJoinSecret, writeJoinToken } from '../pki/join-token.ts'
import { clustersIn, createEntry, type EntryContext, ownerOf } from './change-entries.ts'
import { type Entry, entryObject, parseEntryId } from './entry.ts'
import { findEntry, findEntryBySpiffeId } from './entry-store.ts'
import * as store from './token-store.ts'

/** Seconds for which a join token is good unless told: an hour. */
export const DEFAULT_TOKEN_SECONDS = 3600

/** Most seconds for which a join token is good: a day. */
export const MAX_TOKEN_SECONDS = 86_400

/** What a join token is made from. */
export interface NewJoinToken {
  /** A whole SPIFFE ID, or a path in the mesh's primary trust domain. */
  readonly spiffeId: string
  readonly ttlSeconds?: number | undefined
  /** `host:port` of the workload listener. */
  readonly address: string
}

/** A join token as it was just made; the only time that the token itself is at hand. */
export interface CreatedJoinToken {
  readonly id: string
  readonly token: string
  readonly entry: Entry
  /** Whether the entry was made along with it. */
  readonly madeEntry: boolean
  readonly expiresAt: Date
}

/**
 * Makes a join token, and the entry that it belongs to if there is none, in the caller's transaction.
 *
 * It names the root under which the workload endpoint stands now and ends before that root can leave; only a hash
 * of its secret is stored. Throws NOT_FOUND, ENTRY_INVALID, CONFLICT (a trust domain that another system signs),
 * ISSUER_UNAVAILABLE, FORBIDDEN outside its author's clusters.
 */
export async function createJoinToken(
  trx: Db,
  meshId: MeshId,
  { wanted, context }: { readonly wanted: NewJoinToken; readonly context: EntryContext },
): Promise<CreatedJoinToken> {
  const owner = await ownerOf(trx, meshId, context)
  const { spiffeId, trustDomain } = parseEntryId(wanted.spiffeId, owner)
  const domain = owner.trustDomains.find(({ name }) => name === trustDomain)
  if (domain?.issuer === 'observed') throw signedElsewhere(trustDomain, domain.observedFrom)
  const known = await findEntryBySpiffeId(trx, meshId, spiffeId)
  requireOwnToken(known, { title: `a join token for ${spiffeId}`, context })
  const entry = known ?? (await createEntry(trx, meshId, { draft: { spiffeId }, context }))
  const root = await workloadRootOf(trx, meshId, { trustDomain, now: context.now })
  const expiresAt = endOf(wanted, root.leavesAt, context.now)
  const secret = newJoinSecret()
  const id = newId()
  const hash = joinSecretHash(secret)
  await store.insertToken(trx, meshId, {
    id,
    entryId: entry.id,
    hash,
    expiresAt,
    createdAt: context.now,
  })
  await auditToken(trx, entry, { context, action: 'join-token.create', body: { id, expiresAt } })
  const { address } = wanted
  const rootSha256 = root.publicKeySha256
  const token = writeJoinToken({ meshId, trustDomain, secret, rootSha256, address })
  return { id, token, entry, madeEntry: known === undefined, expiresAt }
}

/** Deletes a join token, in the caller's transaction; throws NOT_FOUND. */
export async function deleteJoinToken(
  trx: Db,
  meshId: MeshId,
  { id, context }: { readonly id: string; readonly context: EntryContext },
): Promise<store.StoredToken> {
  await loadMesh(trx, meshId)
  const token = await store.findToken(trx, meshId, id)
  const entry = token && (await findEntry(trx, meshId, token.entryId))
  if (token === undefined || !isOwnEntry(entry, context)) {
    throw new ServiceError('NOT_FOUND', `mesh ${meshId} has no join token ${quoted(id)}`, {
      next: 'entente join-token list',
    })
  }
  await store.deleteToken(trx, meshId, id)
  const body = { id, usedAt: token.usedAt ?? null }
  const of = { meshId, spiffeId: token.spiffeId }
  await auditToken(trx, of, { context, action: 'join-token.delete', body })
  return token
}

/** Whoever has some clusters makes tokens for the entries tied to them, and learns of no others. */
function requireOwnToken(
  entry: Entry | undefined,
  { title, context }: { readonly title: string; readonly context: EntryContext },
): void {
  if (isOwnEntry(entry, context)) return
  requireOwned(context.ownerClusters, {
    title: `${title}, unless its entry is tied to your cluster,`,
    within: [],
  })
}

function isOwnEntry(entry: Entry | undefined, { ownerClusters }: EntryContext): boolean {
  return isOwned(ownerClusters, entry === undefined ? [] : clustersIn(entry))
}

/** A join token that could be used now, and what it is good for. */
export interface UsableToken {
  readonly id: string
  readonly entry: Entry
}

/** Finds what a join token is good for, without using it up; undefined when unknown, used or ended. */
export async function findUsableToken(
  db: Db,
  meshId: MeshId,
  { secret, now }: { readonly secret: Uint8Array; readonly now: Date },
): Promise<UsableToken | undefined> {
  const token = await store.findUsable(db, meshId, { hash: joinSecretHash(secret), now })
  if (token === undefined) return undefined
  const entry = await findEntry(db, meshId, token.entryId)
  return entry === undefined ? undefined : { id: token.id, entry }
}

/**
 * Uses a join token up, in the transaction that records what it was used for; of several at once exactly one is
 * told true.
 */
export async function takeToken(
  trx: Db,
  { id, entry }: UsableToken,
  { actor, now }: ChangeContext,
): Promise<boolean> {
  if (!(await store.markUsed(trx, entry.meshId, { id, now }))) return false
  const context = { actor, now }
  await auditToken(trx, entry, { context, action: 'join-token.use', body: { id } })
  return true
}

/** Seconds for which used and ended join tokens are kept to be looked at: 30 days. */
const TOKEN_KEPT_SECONDS = 30 * 86_400

/** Deletes join tokens that were used or ended over 30 days ago; answers how many. */
export async function pruneTokens(db: Db, now: Date): Promise<number> {
  return store.deleteOldTokens(db, addSeconds(now, -TOKEN_KEPT_SECONDS))
}

function endOf({ ttlSeconds }: NewJoinToken, leavesAt: Date, now: Date): Date {
  const wanted = addSeconds(now, ttlSeconds ?? DEFAULT_TOKEN_SECONDS)
  const end = wholeSeconds(wanted < leavesAt ? wanted : leavesAt)
  if (end > now) return end
  throw new ServiceError(
    'ISSUER_UNAVAILABLE',
    'the root of the workload endpoint is about to leave',
    {
      retryAfterSeconds: 30,
      next: 'entente authority list',
    },
  )
}

interface TokenAudit {
  readonly context: ChangeContext
  readonly action: string
  readonly body: unknown
}

async function auditToken(
  trx: Db,
  entry: Pick<Entry, 'meshId' | 'spiffeId'>,
  { context, action, body }: TokenAudit,
): Promise<void> {
  await recordAudit(trx, {
    meshId: entry.meshId,
    at: context.now,
    actor: context.actor,
    action,
    object: entryObject(entry),
    body,
  })
}
