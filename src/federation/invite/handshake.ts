import { createHash } from 'node:crypto'
import { canonicalJson } from '../../audit/canonical-json.ts'
import { addSeconds, unixSeconds } from '../../clock.ts'
import { ServiceError } from '../../errors.ts'
import {
  parseX5cJws,
  signerKeySha256,
  signX5cJws,
  type UnverifiedX5cJws,
  verifyX5cJws,
  type X5cSigner,
} from '../../pki/x5c-jws.ts'
import { decodeBase64Url } from '../../spiffe/base64.ts'
import { isJsonArray, isJsonObject, type JsonObject, type JsonValue } from '../../spiffe/json.ts'
import { bundleEndpointId, type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import {
  anchorsFor,
  inviteInvalid,
  objectOf,
  outlineOf,
  type PeerSide,
  readSide,
  secondsOf,
  type Side,
  textOf,
  writeSide,
} from './peer-side.ts'

/** The media type of both messages: a JWS in compact form (RFC 7515 §9.2.1). */
export const HANDSHAKE_MEDIA_TYPE = 'application/jose'

/** Largest message of a handshake in characters: 1 MiB, all ASCII. */
export const MAX_HANDSHAKE_CHARACTERS = 1024 * 1024

/** Seconds for which a message of a handshake is good. */
export const HANDSHAKE_SECONDS = 60

/** Seconds by which the clocks of both sides may differ. */
export const HANDSHAKE_LEEWAY_SECONDS = 30

const REQUEST_TYP = 'entente-handshake+jws'
const ANSWER_TYP = 'entente-handshake-answer+jws'

/** What the acceptor says. */
export interface NewHandshake {
  readonly proof: Uint8Array
  readonly acceptor: Side
  readonly inviter: PeerSide
  readonly now: Date
}

/** The acceptor's message, signed by the SVID of its bundle endpoint. */
export function writeHandshake(
  { proof, acceptor, inviter, now }: NewHandshake,
  signer: X5cSigner,
): string {
  const claims = {
    iss: signerIdOf(acceptor),
    aud: signerIdOf(inviter),
    ...lifeFrom(now),
    proof: Buffer.from(proof).toString('base64url'),
    acceptor: writeSide(acceptor),
    inviter: outlineOf(inviter),
  }
  return signX5cJws({ typ: REQUEST_TYP, claims }, signer)
}

/** The acceptor's message as it was read; nothing in it is proven. */
export interface Handshake {
  readonly proof: Uint8Array
  readonly acceptor: PeerSide
  /** What the acceptor read in the invite, in canonical form, to be compared with what was in it. */
  readonly inviter: string
  readonly issuer: string
  readonly audience: string
  readonly issuedAt: Date
  readonly expiresAt: Date
  readonly jws: UnverifiedX5cJws
  readonly tokenSha256: string
}

const REQUEST = ['iss', 'aud', 'iat', 'exp', 'proof', 'acceptor', 'inviter']

/** Reads the acceptor's message strictly. Throws INVITE_INVALID or SVID_INVALID. */
export function parseHandshake(token: string): Handshake {
  const jws = parseX5cJws(token, { typ: REQUEST_TYP, maxCharacters: MAX_HANDSHAKE_CHARACTERS })
  const claims = objectOf(jws.claims, REQUEST)
  const proof = decodeBase64Url(textOf(claims, 'proof', 64))
  if (proof?.byteLength !== 32) throw inviteInvalid('has a proof other than 256 bits')
  return {
    ...addressedOf(claims),
    proof,
    acceptor: readSide(claims.get('acceptor')),
    inviter: canonicalJson(
      plainOf(objectOf(claims.get('inviter'), ['mesh', 'domains', 'exchange'])),
    ),
    jws,
    tokenSha256: sha256Of(token),
  }
}

/**
 * Proves that the acceptor's message is by the endpoint that it declares: its chain holds under the bundle in the
 * message, its ID is exactly the declared one. Throws SVID_INVALID. Times are {@link checkHandshakeTimes}.
 */
export function verifyHandshake(handshake: Handshake, now: Date): void {
  const id = signerIdOf(handshake.acceptor)
  if (handshake.issuer !== id) throw notSigned('names another issuer than its endpoint')
  verifyX5cJws(handshake.jws, {
    id,
    anchorsOf: () => anchorsFor(handshake.acceptor, id),
    now,
  })
}

/** What is wrong with the times of a message, in words; undefined when nothing is. */
export function findTimeFault(
  { issuedAt, expiresAt }: Pick<Handshake, 'issuedAt' | 'expiresAt'>,
  now: Date,
): string | undefined {
  const life = unixSeconds(expiresAt) - unixSeconds(issuedAt)
  if (life <= 0 || life > HANDSHAKE_SECONDS) {
    return `it is good for ${life} s, wanted 1 to ${HANDSHAKE_SECONDS}`
  }
  if (issuedAt > addSeconds(now, HANDSHAKE_LEEWAY_SECONDS)) return aheadOf(issuedAt, now)
  if (expiresAt > addSeconds(now, -HANDSHAKE_LEEWAY_SECONDS)) return undefined
  return `it ended ${secondsBetween(expiresAt, now)} s ago; is the sender's clock behind?`
}

/** SHA-256 over the key and everything in a message but its times: equal for a message that is sent again. */
export function handshakeDigest(handshake: Handshake): Uint8Array {
  const { proof, acceptor, inviter, jws } = handshake
  const content = canonicalJson({
    proof: Buffer.from(proof).toString('hex'),
    acceptor: outlineOf(acceptor),
    inviter,
  })
  return createHash('sha256').update(signerKeySha256(jws)).update(content).digest()
}

/** Our consent as the other side is told it. */
export type AnsweredConsent = 'given' | 'pending' | 'withdrawn'

/** A bundle of the acceptor as the inviter fetched it. */
export interface SeenBundle {
  readonly trustDomain: TrustDomain
  /** SHA-256, hex, over the canonical form of what is accepted of it. */
  readonly digest: string
}

/** What the inviter answers. */
export interface NewHandshakeAnswer {
  readonly handshake: Pick<Handshake, 'tokenSha256' | 'issuer'>
  readonly inviter: Side
  readonly consent: AnsweredConsent
  readonly seen: readonly SeenBundle[]
  readonly now: Date
}

/** The inviter's answer, signed by the SVID of its bundle endpoint and bound to the message that it answers. */
export function writeHandshakeAnswer(answer: NewHandshakeAnswer, signer: X5cSigner): string {
  const { handshake, inviter, consent, seen, now } = answer
  const claims = {
    iss: signerIdOf(inviter),
    aud: handshake.issuer,
    ...lifeFrom(now),
    request: handshake.tokenSha256,
    inviter: writeSide(inviter),
    consent,
    seen: seen.map(({ trustDomain, digest }) => ({ trustDomain, digest })),
  }
  return signX5cJws({ typ: ANSWER_TYP, claims }, signer)
}

/** The inviter's answer, proven. */
export interface HandshakeAnswer {
  readonly inviter: PeerSide
  readonly consent: AnsweredConsent
  readonly seen: readonly SeenBundle[]
}

/** What an answer is judged by. */
export interface AnswerTrust {
  /** The inviter's side as the invite has it: its bundles are the anchors. */
  readonly invited: PeerSide
  /** The message that was sent. */
  readonly token: string
  readonly acceptor: Side
  readonly now: Date
}

const ANSWER = ['iss', 'aud', 'iat', 'exp', 'request', 'inviter', 'consent', 'seen']

/**
 * Reads and proves the inviter's answer: by the endpoint that the invite names, under the bundle in it, for this
 * very message, with the parameters of the invite. Throws INVITE_INVALID or SVID_INVALID.
 */
export function readHandshakeAnswer(text: string, trust: AnswerTrust): HandshakeAnswer {
  const { invited, token, acceptor, now } = trust
  const jws = parseX5cJws(text, { typ: ANSWER_TYP, maxCharacters: MAX_HANDSHAKE_CHARACTERS })
  const id = signerIdOf(invited)
  verifyX5cJws(jws, { id, anchorsOf: () => anchorsFor(invited, id), now })
  const claims = objectOf(jws.claims, ANSWER)
  const addressed = addressedOf(claims)
  if (addressed.issuer !== id || addressed.audience !== signerIdOf(acceptor)) {
    throw notSigned('is between others')
  }
  if (textOf(claims, 'request') !== sha256Of(token)) throw notSigned('answers another message')
  const fault = findTimeFault(addressed, now)
  if (fault !== undefined) throw notSigned(`has wrong times: ${fault}`)
  const inviter = readSide(claims.get('inviter'))
  if (pinnedOf(inviter) !== pinnedOf(invited)) {
    throw notSigned('names other URLs, profiles or IDs than the invite')
  }
  return { inviter, consent: consentIn(claims), seen: seenIn(claims.get('seen')) }
}

/** Who signs for a side: the endpoint of its primary domain. */
export function signerIdOf({ domains }: Side): SpiffeId {
  const [primary] = domains
  if (primary === undefined) throw new Error('a side has a trust domain')
  return primary.endpointId ?? bundleEndpointId(primary.trustDomain)
}

/** What stays of a side when its keys change, in canonical form. */
function pinnedOf({ domains, exchange }: Side): string {
  const pinned = domains.map(({ trustDomain, profile, url, endpointId }) => ({
    trustDomain,
    profile,
    url,
    endpointId: endpointId ?? null,
  }))
  return canonicalJson({ pinned, exchange: { ...exchange } })
}

function lifeFrom(now: Date): { iat: number; exp: number } {
  const iat = unixSeconds(now)
  return { iat, exp: iat + HANDSHAKE_SECONDS }
}

function addressedOf(claims: JsonObject) {
  return {
    issuer: textOf(claims, 'iss'),
    audience: textOf(claims, 'aud'),
    issuedAt: momentOf(claims, 'iat'),
    expiresAt: momentOf(claims, 'exp'),
  }
}

/** The last moment that a `Date` can hold, in seconds (ECMA-262 §21.4.1.1). */
const MAX_SECONDS = 8_640_000_000_000

function momentOf(claims: JsonObject, name: string): Date {
  return new Date(Math.min(secondsOf(claims, name), MAX_SECONDS) * 1000)
}

function consentIn(claims: JsonObject): AnsweredConsent {
  const consent = claims.get('consent')
  if (consent === 'given' || consent === 'pending' || consent === 'withdrawn') return consent
  throw notSigned('has no consent known here')
}

function seenIn(value: JsonValue | undefined): SeenBundle[] {
  if (!isJsonArray(value)) throw notSigned('names no bundles')
  return value.map((entry) => {
    const seen = objectOf(entry, ['trustDomain', 'digest'])
    return {
      trustDomain: parseTrustDomain(textOf(seen, 'trustDomain', 255)),
      digest: textOf(seen, 'digest', 64),
    }
  })
}

/** A JSON value as plain objects, for {@link canonicalJson}. */
function plainOf(value: JsonValue): unknown {
  if (isJsonObject(value)) {
    return Object.fromEntries([...value].map(([name, member]) => [name, plainOf(member)]))
  }
  return isJsonArray(value) ? value.map(plainOf) : value
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function aheadOf(issuedAt: Date, now: Date): string {
  return `the sender's clock is ${secondsBetween(now, issuedAt)} s ahead of ours`
}

function secondsBetween(earlier: Date, later: Date): number {
  return Math.round((later.getTime() - earlier.getTime()) / 1000)
}

function notSigned(what: string): ServiceError {
  return new ServiceError('SVID_INVALID', `handshake ${what}`)
}
