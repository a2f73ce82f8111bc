import { type KeyObject } from 'node:crypto'
import { messageOf, quoted, ServiceError } from '../errors.ts'
import { decodeBase64Url } from '../spiffe/base64.ts'
import { type Bundle } from '../spiffe/bundle.ts'
import {
  isJsonArray,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJson,
} from '../spiffe/json.ts'
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import {
  isSignedBy,
  JWS_ALGORITHMS,
  jwsAlgorithmFor,
  type KeyType,
  type SignatureScheme,
  signBytes,
} from './algorithms.ts'
import { importJwtAuthority } from './jwt-authority.ts'
import { keyTypeOf, publicKeyOf, spkiOf } from './key-pair.ts'

/** Longest life of a JWT-SVID in seconds: an hour; they cannot be taken back. */
export const MAX_JWT_TTL_SECONDS = 3600

/** Most values of `aud` in one token; one is what JWT-SVID §3.2 recommends (JW-14). */
export const MAX_AUDIENCES = 16

/** Largest token that we read. */
export const MAX_TOKEN_BYTES = 16 * 1024

/** Seconds by which clocks may differ when a token's times are checked (JW-16). */
export const LEEWAY_SECONDS = 10

/** What a JWT-SVID is made of. */
export interface JwtSvidRequest {
  readonly id: SpiffeId
  readonly audience: readonly string[]
  readonly issuedAt: Date
  readonly expiresAt: Date
  /** Sets the token apart from others of the same second; kept in our record of issued SVIDs. */
  readonly jti?: string
  /** Further claims, which only their reader knows; none of the registered names (RFC 7519 §4.1). */
  readonly claims?: Readonly<Record<string, unknown>>
  readonly key: JwtSigningKey
}

/** A key that signs JWT-SVIDs under the `kid` that the bundle publishes. */
export interface JwtSigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
}

/**
 * Signs a JWT-SVID in compact form with a header of `alg`, `kid` and `typ` alone (JW-01, JW-02, JW-05, JW-07).
 *
 * Times are cut to whole seconds (JW-15). Throws `SVID_REFUSED` for an ID without a path, no audience or an empty
 * one (JW-11), and a life of nothing or more than {@link MAX_JWT_TTL_SECONDS}.
 */
export function signJwtSvid(request: JwtSvidRequest): string {
  const { id, audience, key, jti } = request
  const iat = seconds(request.issuedAt)
  const exp = seconds(request.expiresAt)
  checkRequest(request, exp - iat)
  const { header, scheme } = signerOf(key)
  const named = { sub: id, aud: audience, exp, iat, ...(jti === undefined ? {} : { jti }) }
  const claims = { ...request.claims, ...named }
  const input = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
  const signingKey = { scheme, key: key.privateKey, encoding: 'ieee-p1363' } as const
  return `${input}.${signBytes(Buffer.from(input, 'latin1'), signingKey).toString('base64url')}`
}

/** Whom a token must be meant for, and whose keys count. */
export interface JwtTrust {
  /** Values that we go by; one of them must be in `aud` (JW-12). */
  readonly audience: readonly string[]
  /** The bundle of exactly this trust domain, or undefined when we know none (JW-21, FE-39). */
  readonly bundleOf: (trustDomain: TrustDomain) => Bundle | undefined
  readonly now: Date
}

/** A token that holds, and what it says. */
export interface VerifiedJwtSvid {
  readonly id: SpiffeId
  readonly trustDomain: TrustDomain
  readonly audience: readonly string[]
  readonly expiresAt: Date
  /** All claims, unknown ones included: they count only inside the issuing trust domain (ID-21). */
  readonly claims: JsonObject
}

/**
 * Verifies a JWT-SVID: algorithm first, then the subject, whose trust domain alone chooses the keys, then the
 * signature, then audience and times (JW-01, JW-03 to JW-17, JW-21).
 *
 * Only `jwt-svid` entries count; a `kid` that is not there is refused without trying other keys, a token without
 * one is tried with those that fit its algorithm (JW-08). Throws `SVID_INVALID`, never with the token.
 */
export function verifyJwtSvid(
  token: string,
  { audience, bundleOf, now }: JwtTrust,
): VerifiedJwtSvid {
  const parts = splitToken(token)
  const { scheme, kid } = readHeader(parts.header)
  const claims = readObject(parts.payload, 'payload')
  const id = readSubject(claims.get('sub'))
  const trustDomain = trustDomainOf(id)
  const bundle = bundleOf(trustDomain)
  if (bundle === undefined) {
    throw invalid(`no bundle of the trust domain ${quoted(trustDomain)} is known here`)
  }
  const keys = findKeys(bundle, scheme, kid)
  const isSigned = keys.some((key) => {
    return isSignedBy(parts.signed, parts.signature, { scheme, key, encoding: 'ieee-p1363' })
  })
  if (!isSigned) throw invalid(`no key of ${quoted(trustDomain)} made the signature`)
  const found = readAudience(claims.get('aud'))
  if (!found.some((value) => audience.includes(value))) {
    throw invalid(`audience ${quoted(found.join(', '))} is not for us`)
  }
  return { id, trustDomain, audience: found, expiresAt: checkTimes(claims, now), claims }
}

type Scheme = SignatureScheme & { readonly curve?: string }

interface Signer {
  readonly header: string
  readonly scheme: SignatureScheme
}

const signers = new WeakMap<JwtSigningKey, Signer>()

function signerOf(key: JwtSigningKey): Signer {
  const known = signers.get(key)
  if (known !== undefined) return known
  const alg = jwsAlgorithmFor(keyTypeOf(spkiOf(publicKeyOf(key.privateKey))))
  const scheme = JWS_ALGORITHMS.get(alg)
  if (scheme === undefined) throw new ServiceError('KEY_INVALID', `no JWS algorithm named ${alg}`)
  const header = JSON.stringify({ alg, kid: key.kid, typ: 'JWT' })
  const signer = { header: Buffer.from(header).toString('base64url'), scheme }
  signers.set(key, signer)
  return signer
}

function checkRequest({ id, audience }: JwtSvidRequest, lifeSeconds: number): void {
  if (pathOf(id) === '') throw refused(`subject ${quoted(id)} has no path`)
  if (audience.length === 0 || audience.length > MAX_AUDIENCES) {
    throw refused(`found ${audience.length} audiences, wanted 1 to ${MAX_AUDIENCES}`)
  }
  if (audience.some((value) => value === '')) throw refused('an audience is empty')
  if (lifeSeconds <= 0 || lifeSeconds > MAX_JWT_TTL_SECONDS) {
    throw refused(`would live ${lifeSeconds} seconds, wanted 1 to ${MAX_JWT_TTL_SECONDS}`)
  }
}

interface TokenParts {
  readonly header: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  readonly signed: Uint8Array
}

/** Compact serialisation: three parts of base64url without padding (JW-01). */
function splitToken(token: string): TokenParts {
  if (token.length > MAX_TOKEN_BYTES) {
    throw invalid(`has ${token.length} characters, at most ${MAX_TOKEN_BYTES} are allowed`)
  }
  const texts = token.split('.')
  const [header, payload, signature] = texts.map(decodeBase64Url)
  const isCompact = texts.length === 3 && !texts.includes('')
  if (!isCompact || header === undefined || payload === undefined || signature === undefined) {
    throw invalid('is not three parts of base64url with dots between')
  }
  const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')), 'latin1')
  return { header, payload, signature, signed }
}

const HEADER_NAMES = new Set(['alg', 'kid', 'typ'])

function readHeader(bytes: Uint8Array): { scheme: Scheme; kid: string | undefined } {
  const header = readObject(bytes, 'header')
  const alg = header.get('alg')
  const scheme = typeof alg === 'string' ? JWS_ALGORITHMS.get(alg) : undefined
  if (scheme === undefined) throw invalid('has an alg outside the JWT-SVID list')
  const foreign = [...header.keys()].find((name) => !HEADER_NAMES.has(name))
  if (foreign !== undefined) throw invalid(`has the header parameter ${quoted(foreign)}`) // JW-06
  const typ = header.get('typ') ?? 'JWT'
  if (typ !== 'JWT' && typ !== 'JOSE') throw invalid('has a typ other than JWT and JOSE') // JW-09
  const kid = header.get('kid')
  if (kid !== undefined && typeof kid !== 'string') throw invalid('has a kid that is no text')
  return { scheme, kid }
}

function readSubject(sub: JsonValue | undefined): SpiffeId {
  if (typeof sub !== 'string') throw invalid('has no sub')
  try {
    return parseSpiffeId(sub)
  } catch (cause) {
    throw invalid(`sub: ${messageOf(cause)}`, cause)
  }
}

function findKeys(bundle: Bundle, scheme: Scheme, kid: string | undefined): KeyObject[] {
  const { jwtAuthorities, trustDomain } = bundle
  const named = jwtAuthorities.filter((authority) => kid === undefined || authority.kid === kid)
  if (named.length === 0) {
    const which = kid === undefined ? 'a JWT key' : `the JWT key ${quoted(kid)}`
    throw invalid(`${which} is not in the bundle of ${quoted(trustDomain)}`)
  }
  const imported = named.map(importJwtAuthority).filter((key) => key !== null)
  const fitting = imported.filter(({ type }) => fits(type, scheme))
  if (fitting.length === 0) throw invalid('has an alg that does not fit the key')
  return fitting.map(({ key }) => key)
}

/** `alg` and key must be made for each other (RFC 7518 §3.3, §3.4; JW-04). */
function fits(type: KeyType, { kind, curve }: Scheme): boolean {
  return type.kind === 'EC' ? kind === 'EC' && type.curve === curve : kind === 'RSA'
}

/** One text or a list of texts (JW-13). */
function readAudience(aud: JsonValue | undefined): string[] {
  const values = isJsonArray(aud) ? aud : [aud]
  const texts = values.filter((value) => typeof value === 'string')
  if (texts.length === 0 || texts.length !== values.length) throw invalid('has no usable aud')
  return texts
}

/** `exp` is a must and `nbf` counts if present (JW-16, JW-17); answers when the token ends. */
function checkTimes(claims: JsonObject, now: Date): Date {
  const nowSeconds = now.getTime() / 1000
  const exp = readMoment(claims, 'exp')
  if (exp === undefined) throw invalid('has no exp')
  if (exp + LEEWAY_SECONDS <= nowSeconds) throw invalid('has ended')
  const nbf = readMoment(claims, 'nbf')
  if (nbf !== undefined && nbf - LEEWAY_SECONDS > nowSeconds) throw invalid('is not valid yet')
  readMoment(claims, 'iat')
  return new Date(exp * 1000)
}

/** The last moment that a `Date` can hold, in seconds (ECMA-262 §21.4.1.1). */
const MAX_MOMENT = 8_640_000_000_000

function readMoment(claims: JsonObject, name: string): number | undefined {
  const value = claims.get(name)
  if (value === undefined) return undefined
  const moment = typeof value === 'bigint' || typeof value === 'number' ? Number(value) : Number.NaN
  if (Math.abs(moment) <= MAX_MOMENT) return moment
  throw invalid(`has an ${name} that is no moment`)
}

function readObject(bytes: Uint8Array, what: string): JsonObject {
  const value = parse(bytes, what)
  if (!isJsonObject(value)) throw invalid(`${what} is no JSON object`)
  return value
}

function parse(bytes: Uint8Array, what: string): JsonValue {
  try {
    return parseJson(bytes, { maxBytes: MAX_TOKEN_BYTES })
  } catch (cause) {
    throw invalid(`${what}: ${messageOf(cause)}`, cause)
  }
}

function seconds(moment: Date): number {
  return Math.floor(moment.getTime() / 1000)
}

function refused(what: string): ServiceError {
  return new ServiceError('SVID_REFUSED', `JWT-SVID: ${what}`)
}

function invalid(what: string, cause?: unknown): ServiceError {
  return new ServiceError('SVID_INVALID', `JWT-SVID: ${what}`, cause === undefined ? {} : { cause })
}
