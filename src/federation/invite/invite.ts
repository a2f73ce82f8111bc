import { createHash, randomBytes } from 'node:crypto'
import { ServiceError } from '../../errors.ts'
import { type EndpointUrl, parseEndpointUrl } from '../../spiffe/endpoint-profile.ts'
import { decodeBase64Url } from '../../spiffe/base64.ts'
import { parseJson } from '../../spiffe/json.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import {
  asInvite,
  inviteInvalid,
  objectOf,
  type PeerSide,
  readSide,
  secondsOf,
  type Side,
  textOf,
  writeSide,
} from './peer-side.ts'

/** What every invite begins with, so that scanners for leaked secrets know one when they see it. */
export const INVITE_PREFIX = 'entente-invite-v1'

/** Longest invite in characters; a side with a handful of keys takes some 5,000. */
export const MAX_INVITE_CHARACTERS = 256 * 1024

/** What an invite says beside its sender's side. */
interface InviteTerms {
  /** Where the acceptor's handshake goes; the first domain's profile and endpoint ID prove that endpoint. */
  readonly handshakeUrl: EndpointUrl
  /** 256 random bits, good for one handshake. */
  readonly secret: Uint8Array
  readonly expiresAt: Date
  /** Whom it is for; anybody else is refused. */
  readonly expected: TrustDomain | undefined
}

/** An invite to be written. */
export interface NewInvite extends InviteTerms {
  readonly side: Side
}

/** An invite that was read: nothing in it is proven. */
export interface Invite extends InviteTerms {
  readonly side: PeerSide
}

/** A new secret of 256 bits. */
export function newInviteSecret(): Uint8Array {
  return randomBytes(32)
}

/**
 * What a handshake shows of the secret. The service of the inviter stores only {@link inviteHash} of it, so neither
 * its database nor a handshake that was seen gives the invite away.
 */
export function inviteProof(secret: Uint8Array): Uint8Array {
  return createHash('sha256').update(`${INVITE_PREFIX} proof\0`).update(secret).digest()
}

/** What is stored to know a proof again: its SHA-256. A plain hash is enough where the secret is random. */
export function inviteHash(proof: Uint8Array): Uint8Array {
  return createHash('sha256').update(`${INVITE_PREFIX} stored\0`).update(proof).digest()
}

/**
 * The invite as one string: prefix, content, and a checksum that tells one cut short or mistyped. The checksum is
 * no signature: whoever can change an invite on its way can write another one, which is why fingerprints are
 * compared. Throws PAYLOAD_TOO_LARGE.
 */
export function writeInvite(invite: NewInvite): string {
  const { side, handshakeUrl, secret, expiresAt, expected } = invite
  const content = {
    ...writeSide(side),
    handshakeUrl,
    secret: Buffer.from(secret).toString('base64url'),
    expiresAt: Math.floor(expiresAt.getTime() / 1000),
    ...(expected === undefined ? {} : { for: expected }),
  }
  const body = Buffer.from(JSON.stringify(content)).toString('base64url')
  const text = `${INVITE_PREFIX}.${body}.${checksumOf(body)}`
  if (text.length <= MAX_INVITE_CHARACTERS) return text
  throw new ServiceError(
    'PAYLOAD_TOO_LARGE',
    `the bundles of this mesh make an invite of ${text.length} characters, at most ${MAX_INVITE_CHARACTERS} can be read`,
    { next: 'federate with: entente federation add' },
  )
}

/** Reads an invite, line breaks of a mail program included; throws INVITE_INVALID, never with the secret. */
export function parseInvite(text: string): Invite {
  if (text.length > 2 * MAX_INVITE_CHARACTERS) throw tooLong()
  const bare = text.replaceAll(/\s+/g, '')
  if (bare.length > MAX_INVITE_CHARACTERS) throw tooLong()
  const [prefix, body, checksum, ...rest] = bare.split('.')
  if (prefix !== INVITE_PREFIX || rest.length > 0) {
    throw inviteInvalid(`does not begin with "${INVITE_PREFIX}."`)
  }
  if (body === undefined || checksum !== checksumOf(body)) {
    throw new ServiceError(
      'INVITE_INVALID',
      'invite has a wrong checksum: it was cut short or changed in copying',
      { next: 'copy the whole string again, or have it sent as a file' },
    )
  }
  return asInvite(() => readContent(body))
}

const CONTENT = ['mesh', 'domains', 'exchange', 'handshakeUrl', 'secret', 'expiresAt', 'for']

function readContent(body: string): Invite {
  const bytes = decodeBase64Url(body)
  if (bytes === undefined) throw inviteInvalid('has no content')
  const content = objectOf(parseJson(bytes, { maxBytes: MAX_INVITE_CHARACTERS }), CONTENT)
  const secret = decodeBase64Url(textOf(content, 'secret', 64))
  if (secret?.byteLength !== 32) throw inviteInvalid('has a secret other than 256 bits')
  const side = readSide(
    new Map([...content].filter(([name]) => ['mesh', 'domains', 'exchange'].includes(name))),
  )
  return {
    side,
    handshakeUrl: parseEndpointUrl(textOf(content, 'handshakeUrl')),
    secret,
    expiresAt: new Date(Math.min(secondsOf(content, 'expiresAt'), MAX_SECONDS) * 1000),
    expected: content.has('for') ? parseTrustDomain(textOf(content, 'for', 255)) : undefined,
  }
}

/** The last moment that a `Date` can hold, in seconds (ECMA-262 §21.4.1.1). */
const MAX_SECONDS = 8_640_000_000_000

function checksumOf(body: string): string {
  const hash = createHash('sha256').update(`${INVITE_PREFIX}.${body}`).digest()
  return hash.subarray(0, 6).toString('base64url')
}

function tooLong(): ServiceError {
  return inviteInvalid(`has more than ${MAX_INVITE_CHARACTERS} characters`)
}
