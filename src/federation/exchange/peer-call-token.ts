import { createHash, randomBytes } from 'node:crypto'
import { addSeconds } from '../../clock.ts'
import { ServiceError } from '../../errors.ts'
import {
  type JwtSigningKey,
  LEEWAY_SECONDS,
  signJwtSvid,
  verifyJwtSvid,
} from '../../pki/jwt-svid.ts'
import { decodeBase64Url } from '../../spiffe/base64.ts'
import { type Bundle } from '../../spiffe/bundle.ts'
import { isJsonArray, isJsonObject, type JsonObject, parseJson } from '../../spiffe/json.ts'
import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'

/** Longest life of a peer call's token in seconds. */
export const PEER_CALL_SECONDS = 60

/** Largest token of a peer call that is looked at, in characters. */
export const MAX_PEER_TOKEN = 4096

/** The claim that binds a token to one call. */
const CALL_CLAIM = 'entente_call'

const JTI = /^[A-Za-z0-9_-]{16,128}$/

/** One call as its token names it. */
export interface PeerCall {
  readonly method: 'GET' | 'POST'
  /** From `/federation/v1/` on, query included; what a proxy puts before it does not count. */
  readonly path: string
  /** Empty for GET. */
  readonly body: Uint8Array
}

/** Who calls whom, and with which key. */
export interface PeerCallParties {
  readonly from: SpiffeId
  readonly to: SpiffeId
  readonly key: JwtSigningKey
  readonly now: Date
}

/**
 * Signs a JWT-SVID for exactly one call: our exchange identity, their exchange identity as the only audience,
 * {@link PEER_CALL_SECONDS} at most, an unused `jti`, and method, path and SHA-256 of the body.
 */
export function signPeerCall(call: PeerCall, { from, to, key, now }: PeerCallParties): string {
  return signJwtSvid({
    id: from,
    audience: [to],
    issuedAt: now,
    expiresAt: addSeconds(now, PEER_CALL_SECONDS),
    jti: randomBytes(16).toString('base64url'),
    claims: { [CALL_CLAIM]: claimOf(call) },
    key,
  })
}

/** Whom a token names before anything of it is proven, and under which key. */
export interface PeerCallNames {
  readonly from: SpiffeId
  readonly to: SpiffeId
  readonly kid: string
}

/** Reads who a token says it is from and for, to know whose keys must have signed it. Throws SVID_INVALID. */
export function readPeerCallNames(token: string): PeerCallNames {
  if (token.length > MAX_PEER_TOKEN) throw invalid(`has more than ${MAX_PEER_TOKEN} characters`)
  const [header, payload] = token.split('.', 2)
  const kid = readPart(header).get('kid')
  const claims = readPart(payload)
  const sub = claims.get('sub')
  const aud = claims.get('aud')
  // Exactly one audience: a token that others accept too could be one that they were given (JW-14).
  const audiences = isJsonArray(aud) ? aud : [aud]
  const [to] = audiences
  if (typeof kid !== 'string') throw invalid('names no key')
  if (typeof sub !== 'string') throw invalid('has no subject')
  if (typeof to !== 'string' || audiences.length !== 1) throw invalid('is not for one audience')
  return { from: parseSpiffeId(sub), to: parseSpiffeId(to), kid }
}

/** What a token must prove. */
export interface PeerCallTrust {
  readonly from: SpiffeId
  readonly to: SpiffeId
  /** The stored bundle of the domain of `from`, as this mesh accepts it now. */
  readonly bundle: Bundle
  readonly now: Date
}

/** A token that holds: its number, used once, and when it ends. */
export interface VerifiedPeerCall {
  readonly jti: string
  readonly expiresAt: Date
}

/**
 * Verifies that a token is by a JWT authority of the caller's bundle and for this very call. Throws SVID_INVALID;
 * whether its `jti` was used before is for the caller to find out.
 */
export function verifyPeerCall(
  token: string,
  call: PeerCall,
  { from, to, bundle, now }: PeerCallTrust,
): VerifiedPeerCall {
  const { id, claims, expiresAt } = verifyJwtSvid(token, {
    audience: [to],
    bundleOf: (trustDomain) => (trustDomain === bundle.trustDomain ? bundle : undefined),
    now,
  })
  if (id !== from) throw invalid('is of another caller')
  checkLife(claims, { expiresAt, now })
  checkCall(claims, call)
  const jti = claims.get('jti')
  if (typeof jti !== 'string' || !JTI.test(jti)) throw invalid('has no usable jti')
  return { jti, expiresAt }
}

function checkLife(
  claims: JsonObject,
  { expiresAt, now }: { readonly expiresAt: Date; readonly now: Date },
): void {
  const iat = claims.get('iat')
  if (typeof iat !== 'bigint') throw invalid('has no iat in whole seconds')
  const issued = Number(iat)
  const expires = expiresAt.getTime() / 1000
  if (!(expires - issued <= PEER_CALL_SECONDS)) {
    throw invalid(`lives ${expires - issued} s, wanted at most ${PEER_CALL_SECONDS}`)
  }
  if (issued - LEEWAY_SECONDS > now.getTime() / 1000) throw invalid('was issued in the future')
}

function checkCall(claims: JsonObject, call: PeerCall): void {
  const found = claims.get(CALL_CLAIM)
  if (!isJsonObject(found)) throw invalid('names no call')
  const wrong = Object.entries(claimOf(call)).find(([name, value]) => found.get(name) !== value)
  if (wrong !== undefined) throw invalid(`is for another ${wrong[0]}`)
}

function claimOf({ method, path, body }: PeerCall): Record<string, string> {
  return { method, path, bodySha256: createHash('sha256').update(body).digest('base64url') }
}

function readPart(text: string | undefined): JsonObject {
  const bytes = text === undefined ? undefined : decodeBase64Url(text)
  if (bytes === undefined) throw invalid('is not three parts of base64url')
  const value = parseJson(bytes, { maxBytes: MAX_PEER_TOKEN })
  if (!isJsonObject(value)) throw invalid('has a part that is no JSON object')
  return value
}

function invalid(what: string): ServiceError {
  return new ServiceError('SVID_INVALID', `peer call: token ${what}`)
}
