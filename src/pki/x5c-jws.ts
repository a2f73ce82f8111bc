import { type KeyObject } from 'node:crypto'
import { messageOf, quoted, ServiceError } from '../errors.ts'
import { decodeBase64, decodeBase64Url, encodeBase64 } from '../spiffe/base64.ts'
import { isJsonArray, isJsonObject, type JsonObject, parseJson } from '../spiffe/json.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import {
  isSignedBy,
  JWS_ALGORITHMS,
  jwsAlgorithmFor,
  type SignatureScheme,
  signBytes,
} from './algorithms.ts'
import { readCertificate } from './certificate.ts'
import { importPublicKey, keyTypeOf, publicKeyOf, publicKeySha256, spkiOf } from './key-pair.ts'
import {
  type ChainTrust,
  MAX_CHAIN_LENGTH,
  type VerifiedX509Svid,
  verifyX509Svid,
} from './verify-chain.ts'

/** Most bytes of a header: ten certificates of ordinary size in base64. */
const MAX_HEADER_BYTES = 64 * 1024

/** An X509-SVID with its key: whoever signs. */
export interface X5cSigner {
  /** Leaf first, without the root. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
}

/** What is signed: `typ` keeps one kind of document from being taken for another. */
export interface X5cContent {
  readonly typ: string
  /** Texts, numbers, booleans, lists and objects. */
  readonly claims: Readonly<Record<string, unknown>>
}

/** Signs claims as a compact JWS (RFC 7515 §3.1) with a header of `alg`, `typ` and `x5c` alone. */
export function signX5cJws({ typ, claims }: X5cContent, signer: X5cSigner): string {
  const alg = jwsAlgorithmFor(keyTypeOf(spkiOf(publicKeyOf(signer.privateKey))))
  const scheme = JWS_ALGORITHMS.get(alg)
  if (scheme === undefined) throw new ServiceError('KEY_INVALID', `no JWS algorithm named ${alg}`)
  const header = JSON.stringify({ alg, typ, x5c: signer.chain.map(encodeBase64) })
  const input = `${base64UrlOf(header)}.${base64UrlOf(JSON.stringify(claims))}`
  const signingKey = { scheme, key: signer.privateKey, encoding: 'ieee-p1363' } as const
  return `${input}.${signBytes(Buffer.from(input, 'latin1'), signingKey).toString('base64url')}`
}

/** A JWS of which nothing is proven yet. */
export interface UnverifiedX5cJws {
  readonly claims: JsonObject
  /** As in `x5c`: the first one must have signed. */
  readonly chain: readonly Uint8Array[]
  readonly alg: string
  readonly signed: Uint8Array
  readonly signature: Uint8Array
}

/** What a JWS may be. */
export interface X5cLimits {
  readonly typ: string
  readonly maxCharacters: number
}

/**
 * Reads a compact JWS strictly: three parts of base64url, exactly the header members that {@link signX5cJws}
 * writes (so no `crit`, `jwk` or `jku`), an algorithm of the list and an object of claims. Throws SVID_INVALID.
 */
export function parseX5cJws(token: string, { typ, maxCharacters }: X5cLimits): UnverifiedX5cJws {
  if (token.length > maxCharacters) {
    throw invalid(`has ${token.length} characters, at most ${maxCharacters} are allowed`)
  }
  const [header, payload, signature, ...more] = token.split('.').map(decodeBase64Url)
  const isCompact = header !== undefined && payload !== undefined && signature !== undefined
  if (!isCompact || more.length > 0) throw invalid('is not three parts of base64url')
  const { alg, chain } = readHeader(header, typ)
  return {
    claims: readObject(payload, maxCharacters),
    chain,
    alg,
    signed: Buffer.from(token.slice(0, token.lastIndexOf('.')), 'latin1'),
    signature,
  }
}

/**
 * Proves who signed: the chain must hold under these anchors, be of exactly this SPIFFE ID, and its leaf's key must
 * have made the signature. Throws SVID_INVALID.
 */
export function verifyX5cJws(
  jws: UnverifiedX5cJws,
  trust: ChainTrust & { readonly id: SpiffeId },
): VerifiedX509Svid {
  const verified = verifyX509Svid(jws.chain, trust)
  if (verified.id !== trust.id) {
    throw invalid(`is signed by ${quoted(verified.id)}, wanted ${quoted(trust.id)}`)
  }
  const scheme = schemeFor(jws.alg, verified.leaf.spki)
  if (scheme === undefined) throw invalid('has an alg that does not fit the key')
  const key = importPublicKey(verified.leaf.spki)
  if (isSignedBy(jws.signed, jws.signature, { scheme, key, encoding: 'ieee-p1363' }))
    return verified
  throw invalid('has a signature that its certificate did not make')
}

/** SHA-256 of the public key of the certificate that signed. Throws SVID_INVALID when it cannot be read. */
export function signerKeySha256({ chain }: Pick<UnverifiedX5cJws, 'chain'>): Uint8Array {
  const [leaf] = chain
  try {
    if (leaf !== undefined) return publicKeySha256(readCertificate(leaf).spki)
  } catch (cause) {
    throw invalid(messageOf(cause))
  }
  throw invalid('has no certificate')
}

/** `alg` and key must be made for each other (RFC 7518 §3.3, §3.4). */
function schemeFor(alg: string, spki: Uint8Array): SignatureScheme | undefined {
  const scheme = JWS_ALGORITHMS.get(alg)
  const type = keyTypeOf(spki)
  if (scheme?.kind !== type.kind) return undefined
  return type.kind === 'RSA' || scheme.curve === type.curve ? scheme : undefined
}

const HEADER_MEMBERS = new Set(['alg', 'typ', 'x5c'])

function readHeader(bytes: Uint8Array, wanted: string): { alg: string; chain: Uint8Array[] } {
  const header = readObject(bytes, MAX_HEADER_BYTES)
  const foreign = [...header.keys()].find((name) => !HEADER_MEMBERS.has(name))
  if (foreign !== undefined) throw invalid(`has the header parameter ${quoted(foreign)}`)
  const typ = header.get('typ')
  if (typ !== wanted) throw invalid(`has another typ than ${quoted(wanted)}`)
  const alg = header.get('alg')
  if (typeof alg !== 'string' || !JWS_ALGORITHMS.has(alg))
    throw invalid('has an alg not known here')
  return { alg, chain: readChain(header) }
}

function readChain(header: JsonObject): Uint8Array[] {
  const x5c = header.get('x5c')
  if (!isJsonArray(x5c) || x5c.length === 0 || x5c.length > MAX_CHAIN_LENGTH) {
    throw invalid(`needs an x5c of 1 to ${MAX_CHAIN_LENGTH} certificates`)
  }
  return x5c.map((entry) => {
    const der = typeof entry === 'string' ? decodeBase64(entry) : undefined
    if (der === undefined) throw invalid('has an x5c entry that is no base64')
    return der
  })
}

function readObject(bytes: Uint8Array, maxBytes: number): JsonObject {
  try {
    const value = parseJson(bytes, { maxBytes })
    if (isJsonObject(value)) return value
  } catch (cause) {
    throw invalid(messageOf(cause))
  }
  throw invalid('has a part that is no JSON object')
}

function base64UrlOf(text: string): string {
  return Buffer.from(text).toString('base64url')
}

function invalid(what: string): ServiceError {
  return new ServiceError('SVID_INVALID', `JWS ${what}`)
}
