import { createHash, randomBytes } from 'node:crypto'
import { ServiceError } from '../errors.ts'
import { decodeBase64Url } from '../spiffe/base64.ts'
import { isJsonObject, type JsonObject, parseJson } from '../spiffe/json.ts'
import { parseTrustDomain, type TrustDomain } from '../spiffe/trust-domain.ts'

/** What every join token begins with, so that scanners for leaked secrets know one when they see it. */
export const JOIN_TOKEN_PREFIX = 'entente-join-v1'

/** Longest join token: three names of full length and two hashes take under 1,200 characters. */
export const MAX_JOIN_TOKEN_CHARACTERS = 1536

/** What a join token says: to the service who may have an SVID, to the client whom it may be shown. */
export interface JoinToken {
  readonly meshId: string
  readonly trustDomain: TrustDomain
  /** 256 random bits; the service stores only their hash. */
  readonly secret: Uint8Array
  /** SHA-256 of the public key of the root under which the workload endpoint stands. */
  readonly rootSha256: Uint8Array
  /** `host:port` of the workload listener, for whoever is not told another one. */
  readonly address: string
}

/** A new secret of 256 bits. */
export function newJoinSecret(): Uint8Array {
  return randomBytes(32)
}

/** What is stored of a secret: its SHA-256. A plain hash is enough where the secret is random. */
export function joinSecretHash(secret: Uint8Array): Uint8Array {
  return createHash('sha256').update(secret).digest()
}

/** The token as one string: prefix, content and a checksum that catches one cut short or mistyped. */
export function writeJoinToken(token: JoinToken): string {
  const content = {
    mesh: token.meshId,
    trustDomain: token.trustDomain,
    secret: Buffer.from(token.secret).toString('base64url'),
    root: Buffer.from(token.rootSha256).toString('base64url'),
    address: token.address,
  }
  const body = Buffer.from(JSON.stringify(content)).toString('base64url')
  return `${JOIN_TOKEN_PREFIX}.${body}.${checksumOf(body)}`
}

/** Reads a join token; throws `INVALID_REQUEST`, never with the token. */
export function parseJoinToken(text: string): JoinToken {
  const [prefix, body, checksum, ...rest] = text.split('.')
  if (text.length > MAX_JOIN_TOKEN_CHARACTERS || prefix !== JOIN_TOKEN_PREFIX || rest.length > 0) {
    throw invalid(`does not begin with "${JOIN_TOKEN_PREFIX}."`)
  }
  if (body === undefined || checksum !== checksumOf(body)) {
    throw invalid('has a wrong checksum; it may have been cut short in copying')
  }
  return readContent(body)
}

function readContent(body: string): JoinToken {
  const bytes = decodeBase64Url(body)
  const content =
    bytes === undefined ? undefined : parseJson(bytes, { maxBytes: MAX_JOIN_TOKEN_CHARACTERS })
  if (!isJsonObject(content)) throw invalid('has no content')
  return {
    meshId: textOf(content, 'mesh'),
    trustDomain: parseTrustDomain(textOf(content, 'trustDomain')),
    secret: hashOf(content, 'secret'),
    rootSha256: hashOf(content, 'root'),
    address: textOf(content, 'address'),
  }
}

function textOf(content: JsonObject, name: string): string {
  const value = content.get(name)
  if (typeof value !== 'string') throw invalid(`has no ${name}`)
  return value
}

function hashOf(content: JsonObject, name: string): Uint8Array {
  const bytes = decodeBase64Url(textOf(content, name))
  if (bytes?.byteLength !== 32) throw invalid(`has a ${name} other than 256 bits`)
  return bytes
}

function checksumOf(body: string): string {
  const hash = createHash('sha256').update(`${JOIN_TOKEN_PREFIX}.${body}`).digest()
  return hash.subarray(0, 6).toString('base64url')
}

function invalid(what: string): ServiceError {
  return new ServiceError('INVALID_REQUEST', `join token ${what}`, {
    next: 'entente join-token create --id /PATH',
  })
}
