import { type KeyObject } from 'node:crypto'
import { messageOf, quoted, ServiceError } from '../errors.ts'
import { decodeBase64Url } from '../spiffe/base64.ts'
import { MAX_BUNDLE_BYTES, type PublicJwk } from '../spiffe/bundle.ts'
import { isJsonObject, type JsonObject, parseJson } from '../spiffe/json.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../spiffe/trust-domain.ts'
import { isSignedBy, JWS_ALGORITHMS, type SignatureScheme, signBytes } from './algorithms.ts'
import { importPublicJwk, keyId, keyTypeOf, publicKeyOf, spkiOf } from './key-pair.ts'
import { type ChainTrust } from './verify-chain.ts'
import { parseX5cJws, signX5cJws, verifyX5cJws, type X5cSigner } from './x5c-jws.ts'

/** The `typ` of a signed bundle, so that no other JWS is taken for one. */
export const SIGNED_BUNDLE_TYP = 'entente-bundle+jws'

/** Longest life of a signed bundle: 7 days, so that a kept copy cannot bring old trust back for long. */
export const MAX_SIGNED_BUNDLE_SECONDS = 7 * 86_400

/** Room for a bundle of the largest size in base64 within base64, and its envelope. */
const MAX_CHARACTERS = 2 * MAX_BUNDLE_BYTES + 256 * 1024

const CLOCK_SKEW_SECONDS = 60

/** A bundle that its trust domain sends to exactly one other, over whatever carries it. */
export interface SignedBundle {
  /** Whose bundle it is. */
  readonly subject: TrustDomain
  /** For whom: nobody else may use it. */
  readonly audience: TrustDomain
  /** The bundle's sequence (BU-03). */
  readonly sequence: bigint | undefined
  /** The SPIFFE bundle, exactly as it is published. */
  readonly document: Uint8Array
  readonly issuedAt: Date
  readonly expiresAt: Date
}

/** Who signs: a recovery key (P-256) that is kept outside the service, or the bundle endpoint's own SVID. */
export type BundleSigner =
  | { readonly how: 'recovery-key'; readonly privateKey: KeyObject }
  | ({ readonly how: 'svid' } & X5cSigner)

/** What a signed bundle must be proven by: the pinned recovery keys, or the pinned endpoint ID under anchors. */
export interface BundleProof {
  readonly recoveryKeys: readonly PublicJwk[]
  readonly endpoint: (ChainTrust & { readonly id: SpiffeId }) | undefined
  readonly now: Date
}

/** Signs a bundle; throws INVALID_REQUEST for a life of more than 7 days and KEY_INVALID unless a recovery key is P-256. */
export function writeSignedBundle(bundle: SignedBundle, signer: BundleSigner): string {
  const claims = claimsOf(bundle)
  if (signer.how === 'svid') return signX5cJws({ typ: SIGNED_BUNDLE_TYP, claims }, signer)
  const publicKey = publicKeyOf(signer.privateKey)
  requireP256(publicKey)
  const header = { alg: 'ES256', typ: SIGNED_BUNDLE_TYP, kid: keyId(publicKey) }
  const input = `${base64Url(header)}.${base64Url(claims)}`
  const key = { scheme: ES256, key: signer.privateKey, encoding: 'ieee-p1363' } as const
  return `${input}.${signBytes(Buffer.from(input, 'latin1'), key).toString('base64url')}`
}

/**
 * Reads a signed bundle and proves who signed it and that it lives; the caller compares subject, audience and
 * sequence with what it wants. Throws SIGNED_BUNDLE_REFUSED.
 */
export function readSignedBundle(
  token: string,
  proof: BundleProof,
): { readonly bundle: SignedBundle; readonly provenBy: 'recovery-key' | 'svid' } {
  const text = token.trim()
  if (text.length > MAX_CHARACTERS) throw refused(`has ${text.length} characters`)
  try {
    const isByKey = headerOf(text).has('kid')
    const claims = isByKey ? claimsByKey(text, proof) : claimsBySvid(text, proof)
    const bundle = bundleIn(claims)
    checkLife(bundle, proof.now)
    return { bundle, provenBy: isByKey ? 'recovery-key' : 'svid' }
  } catch (cause) {
    if (cause instanceof ServiceError && cause.code === 'SIGNED_BUNDLE_REFUSED') throw cause
    throw refused(messageOf(cause), cause)
  }
}

/** Whether a text has the form of a signed bundle; a SPIFFE bundle is JSON and begins with a brace. */
export function looksSigned(text: string): boolean {
  return /^\s*[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\s*$/.test(text)
}

const ES256 = scheme('ES256')

function unixSeconds(moment: Date): number {
  return Math.floor(moment.getTime() / 1000)
}

function scheme(name: string): SignatureScheme {
  const found = JWS_ALGORITHMS.get(name)
  if (found === undefined) throw new Error(`no JWS algorithm named ${name}`)
  return found
}

function requireP256(key: KeyObject): void {
  const type = keyTypeOf(spkiOf(key))
  if (type.kind === 'EC' && type.curve === 'P-256') return
  throw new ServiceError('KEY_INVALID', 'a recovery key must be an EC key on P-256')
}

function claimsOf(bundle: SignedBundle): Record<string, unknown> {
  const seconds = unixSeconds(bundle.expiresAt) - unixSeconds(bundle.issuedAt)
  if (seconds <= 0 || seconds > MAX_SIGNED_BUNDLE_SECONDS) {
    throw new ServiceError(
      'INVALID_REQUEST',
      `a signed bundle lives 1 to ${MAX_SIGNED_BUNDLE_SECONDS} seconds, found ${seconds}`,
    )
  }
  return {
    sub: bundle.subject,
    aud: bundle.audience,
    iat: unixSeconds(bundle.issuedAt),
    exp: unixSeconds(bundle.expiresAt),
    ...(bundle.sequence === undefined ? {} : { seq: bundle.sequence.toString() }),
    bundle: Buffer.from(bundle.document).toString('base64url'),
  }
}

function headerOf(token: string): JsonObject {
  const bytes = decodeBase64Url(token.split('.', 1)[0] ?? '')
  if (bytes === undefined) throw refused('is not three parts of base64url')
  return objectOf(bytes, 64 * 1024)
}

const KEY_HEADER = new Set(['alg', 'typ', 'kid'])

function claimsByKey(token: string, { recoveryKeys }: BundleProof): JsonObject {
  const [header, payload, signature, ...more] = token.split('.').map(decodeBase64Url)
  const isCompact = header !== undefined && payload !== undefined && signature !== undefined
  if (!isCompact || more.length > 0) throw refused('is not three parts of base64url')
  const members = objectOf(header, 64 * 1024)
  const foreign = [...members.keys()].find((name) => !KEY_HEADER.has(name))
  if (foreign !== undefined) throw refused(`has the header parameter ${quoted(foreign)}`)
  if (members.get('typ') !== SIGNED_BUNDLE_TYP) throw refused('has another typ')
  if (members.get('alg') !== 'ES256') throw refused('has another alg than ES256')
  const key = recoveryKeys.map(importPublicJwk).find((one) => keyId(one) === members.get('kid'))
  if (key === undefined) throw refused('is signed by a key that is not pinned')
  const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')), 'latin1')
  if (!isSignedBy(signed, signature, { scheme: ES256, key, encoding: 'ieee-p1363' })) {
    throw refused('has a signature that the pinned key did not make')
  }
  return objectOf(payload, MAX_CHARACTERS)
}

function claimsBySvid(token: string, { endpoint }: BundleProof): JsonObject {
  if (endpoint === undefined) {
    throw refused('is signed by an SVID, and no stored bundle can prove who its owner is')
  }
  const limits = { typ: SIGNED_BUNDLE_TYP, maxCharacters: MAX_CHARACTERS }
  const jws = parseX5cJws(token, limits)
  verifyX5cJws(jws, endpoint)
  return jws.claims
}

const CLAIMS = new Set(['sub', 'aud', 'iat', 'exp', 'seq', 'bundle'])

function bundleIn(claims: JsonObject): SignedBundle {
  const foreign = [...claims.keys()].find((name) => !CLAIMS.has(name))
  if (foreign !== undefined) throw refused(`has the claim ${quoted(foreign)}`)
  const document = decodeBase64Url(textIn(claims, 'bundle'))
  if (document === undefined) throw refused('has a bundle that is no base64url')
  return {
    subject: parseTrustDomain(textIn(claims, 'sub')),
    audience: parseTrustDomain(textIn(claims, 'aud')),
    sequence: claims.has('seq') ? sequenceIn(textIn(claims, 'seq')) : undefined,
    document,
    issuedAt: momentIn(claims, 'iat'),
    expiresAt: momentIn(claims, 'exp'),
  }
}

function checkLife({ issuedAt, expiresAt }: SignedBundle, now: Date): void {
  const life = unixSeconds(expiresAt) - unixSeconds(issuedAt)
  if (life <= 0 || life > MAX_SIGNED_BUNDLE_SECONDS) {
    throw refused(`lives ${life} seconds, at most ${MAX_SIGNED_BUNDLE_SECONDS} are allowed`)
  }
  const at = unixSeconds(now)
  if (unixSeconds(issuedAt) > at + CLOCK_SKEW_SECONDS) {
    throw refused(`is from ${issuedAt.toISOString()}, which lies ahead; compare the clocks`)
  }
  if (unixSeconds(expiresAt) + CLOCK_SKEW_SECONDS <= at) {
    throw refused(`ended at ${expiresAt.toISOString()}`)
  }
}

function textIn(claims: JsonObject, name: string): string {
  const value = claims.get(name)
  if (typeof value === 'string') return value
  throw refused(`needs the claim ${name} as a text`)
}

function sequenceIn(text: string): bigint {
  if (!/^(0|[1-9][0-9]{0,19})$/.test(text)) throw refused(`has the sequence ${quoted(text)}`)
  return BigInt(text)
}

const LAST_MOMENT_SECONDS = 253_402_300_799n

function momentIn(claims: JsonObject, name: string): Date {
  const value = claims.get(name)
  if (typeof value === 'bigint' && value >= 0n && value <= LAST_MOMENT_SECONDS) {
    return new Date(Number(value) * 1000)
  }
  throw refused(`needs the claim ${name} as seconds`)
}

function objectOf(bytes: Uint8Array, maxBytes: number): JsonObject {
  const value = parseJson(bytes, { maxBytes })
  if (isJsonObject(value)) return value
  throw refused('has a part that is no JSON object')
}

function base64Url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function refused(what: string, cause?: unknown): ServiceError {
  return new ServiceError(
    'SIGNED_BUNDLE_REFUSED',
    `signed bundle ${what}`,
    cause === undefined ? {} : { cause },
  )
}
