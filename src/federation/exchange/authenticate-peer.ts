import { type Clock } from '../../clock.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { exchangeId, type SpiffeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type PeerLimits } from './peer-limits.ts'
import { bundleForKid, type PeerCallKeys } from './peer-call-keys.ts'
import { type CallerRow, findCaller, useJti } from './peer-call-store.ts'
import {
  type PeerCall,
  type PeerCallNames,
  readPeerCallNames,
  type VerifiedPeerCall,
  verifyPeerCall,
} from './peer-call-token.ts'

/** What authenticating peers needs. */
export interface AuthenticatePeerDeps {
  /** The request handle. */
  readonly db: Db
  readonly clock: Clock
  readonly keys: PeerCallKeys
  readonly limits: Pick<PeerLimits, 'takeForRelationship'>
}

/** A peer that has proven who it is. */
export interface AuthenticatedPeer {
  readonly meshId: MeshId
  readonly relationshipId: string
  /** The relationship's name. */
  readonly name: string
  readonly trustDomain: TrustDomain
}

/** Whom a token means, whether or not it holds; for notices that count as a hint when they cannot be verified. */
export type ClaimedPeer = Pick<PeerCallNames, 'from' | 'to'>

/** A call as it arrived. */
export interface ArrivedCall {
  /** The token of the `Authorization` header; undefined when there was none, or more than one. */
  readonly token: string | undefined
  readonly call: PeerCall
}

/** Whether a caller has proven who it is; if not, why (for the log) and whom it claimed to be. */
export type Authentication =
  | { readonly peer: AuthenticatedPeer }
  | { readonly reason: string; readonly claimed: ClaimedPeer | undefined }

/**
 * Authenticates a peer by its JWT-SVID: the relationship with exactly this exchange identity, the bundle of its
 * domain that is in use now, and a token for this very call that nobody used before.
 *
 * A suspended or pending relationship authenticates like an active one, since its peer must be able to ask; a
 * terminated one has no bundle and so no caller. Unknown callers cost what known ones do: one query, one signature.
 *
 * Throws RATE_LIMITED for a proven peer that calls too often, before anything is written on its behalf.
 */
export async function authenticatePeer(
  deps: AuthenticatePeerDeps,
  { token, call }: ArrivedCall,
): Promise<Authentication> {
  if (token === undefined) return { reason: 'no token', claimed: undefined }
  let names: PeerCallNames | undefined
  try {
    names = readPeerCallNames(token)
    return await prove(deps, { token, call, names })
  } catch (error) {
    if (!isRefusal(error)) throw error
    return { reason: error.message, claimed: names }
  }
}

/** The one refusal of every caller that is not authenticated, whatever the reason. */
export function notAuthenticated(): ServiceError {
  return new ServiceError(
    'AUTHENTICATION_REQUIRED',
    'this call carries no JWT-SVID of a peer that we know, for exactly this call, and not used before',
  )
}

interface Claim {
  readonly token: string
  readonly call: PeerCall
  readonly names: PeerCallNames
}

async function prove(
  deps: AuthenticatePeerDeps,
  { token, call, names }: Claim,
): Promise<Authentication> {
  const { from, to, kid } = names
  const trustDomain = trustDomainOf(from)
  const now = deps.clock.now()
  const caller = await findCaller(deps.db, { ours: oursIn(to), from, theirs: trustDomain })
  const inUse = await bundleInUse(deps, { caller, trustDomain, now })
  const bundle = bundleForKid(inUse, { trustDomain, kid })
  const verified = verifyPeerCall(token, call, { from, to, bundle, now })
  if (caller === undefined || inUse === undefined) throw refusal('nobody we know')
  // Only what its signature proves counts against a peer, and what is over the limit leaves no row behind.
  deps.limits.takeForRelationship(caller.relationshipId)
  await useOnce(deps.db, caller, verified)
  const { meshId, relationshipId, name } = caller
  return { peer: { meshId, relationshipId, name, trustDomain } }
}

async function bundleInUse(
  { db, keys }: AuthenticatePeerDeps,
  about: {
    readonly caller: CallerRow | undefined
    readonly trustDomain: TrustDomain
    readonly now: Date
  },
) {
  const { caller, trustDomain, now } = about
  if (caller?.bundle === undefined) return undefined
  const revision = { relationshipId: caller.relationshipId, trustDomain, ...caller.bundle }
  return keys.of(db, caller.meshId, { revision, now })
}

/** Five minutes beyond the end of the token, for replicas whose clocks differ. */
const REMEMBER_MS = 300_000

async function useOnce(
  db: Db,
  { meshId, relationshipId }: CallerRow,
  { jti, expiresAt }: VerifiedPeerCall,
): Promise<void> {
  const until = new Date(expiresAt.getTime() + REMEMBER_MS)
  if (await useJti(db, meshId, { relationshipId, jti, expiresAt: until })) return
  throw refusal('used before')
}

/** The trust domain in an exchange identity of ours; any other audience is none. */
function oursIn(to: SpiffeId): TrustDomain {
  const trustDomain = trustDomainOf(to)
  if (exchangeId(trustDomain) !== to) throw refusal('for another audience')
  return trustDomain
}

const REFUSALS = new Set([
  'SVID_INVALID',
  'SPIFFE_ID_INVALID',
  'TRUST_DOMAIN_INVALID',
  'JSON_INVALID',
])

function isRefusal(error: unknown): error is ServiceError {
  return error instanceof ServiceError && REFUSALS.has(error.code)
}

function refusal(what: string): ServiceError {
  return new ServiceError('SVID_INVALID', `peer call: token ${what}`)
}
