import { constants, type KeyObject, sign, type SignKeyObjectInput, verify } from 'node:crypto'
import { ServiceError } from '../errors.ts'

/** Keys that we make ourselves, named by the JOSE algorithm that they sign with; P-256 unless asked. */
export const KEY_ALGORITHMS = {
  ES256: { type: 'ec', curve: 'P-256' },
  ES384: { type: 'ec', curve: 'P-384' },
  RS256: { type: 'rsa', bits: 2048 },
} as const

/** One of {@link KEY_ALGORITHMS}. */
export type KeyAlgorithm = keyof typeof KEY_ALGORITHMS

/** Curves that an authority of a peer may use. */
export const CURVES = ['P-256', 'P-384', 'P-521'] as const

/** One of {@link CURVES}. */
export type Curve = (typeof CURVES)[number]

/** What kind of public key this is. */
export type KeyType =
  { readonly kind: 'EC'; readonly curve: Curve } | { readonly kind: 'RSA'; readonly bits: number }

/** Fewest bits of an RSA modulus that count as a key (NIST SP 800-131A: below it, forgeable). */
export const MIN_RSA_BITS = 2048

/** Most bits of an RSA modulus: beyond it, checking one signature becomes work of the other side's choice. */
export const MAX_RSA_BITS = 8192

type Hash = 'sha256' | 'sha384' | 'sha512'

/** A signature scheme: key family, hash, and padding where RSA has a choice. */
export interface SignatureScheme {
  readonly kind: KeyType['kind']
  readonly hash: Hash
  readonly padding?: 'pss'
}

/** A signature algorithm of certificates with its DER AlgorithmIdentifier. */
export interface SignatureAlgorithm extends SignatureScheme {
  readonly name: string
  readonly identifier: Buffer
}

/**
 * Every signature algorithm that we accept in certificates and CSRs; SHA-256 and better, nothing else.
 *
 * The identifier is compared octet by octet, parameters included (RFC 5758 §3.2, RFC 4055 §3.1 and §5), so
 * that no parameter can slip by unread.
 */
export const SIGNATURE_ALGORITHMS: readonly SignatureAlgorithm[] = [
  row('ecdsa-with-SHA256', { kind: 'EC', hash: 'sha256' }, '300a06082a8648ce3d040302'),
  row('ecdsa-with-SHA384', { kind: 'EC', hash: 'sha384' }, '300a06082a8648ce3d040303'),
  row('ecdsa-with-SHA512', { kind: 'EC', hash: 'sha512' }, '300a06082a8648ce3d040304'),
  row('sha256WithRSA', { kind: 'RSA', hash: 'sha256' }, '300d06092a864886f70d01010b0500'),
  row('sha384WithRSA', { kind: 'RSA', hash: 'sha384' }, '300d06092a864886f70d01010c0500'),
  row('sha512WithRSA', { kind: 'RSA', hash: 'sha512' }, '300d06092a864886f70d01010d0500'),
  row('RSASSA-PSS-SHA256', { kind: 'RSA', hash: 'sha256', padding: 'pss' }, pssIdentifier(1, 32)),
  row('RSASSA-PSS-SHA384', { kind: 'RSA', hash: 'sha384', padding: 'pss' }, pssIdentifier(2, 48)),
  row('RSASSA-PSS-SHA512', { kind: 'RSA', hash: 'sha512', padding: 'pss' }, pssIdentifier(3, 64)),
]

const BY_IDENTIFIER = new Map(
  SIGNATURE_ALGORITHMS.map((algorithm) => [algorithm.identifier.toString('latin1'), algorithm]),
)

/** JWS algorithms of JWT-SVIDs and the key that each needs (JWT-SVID §2.1, JW-02, JW-04). */
export const JWS_ALGORITHMS = new Map<string, SignatureScheme & { readonly curve?: Curve }>([
  ['ES256', { kind: 'EC', hash: 'sha256', curve: 'P-256' }],
  ['ES384', { kind: 'EC', hash: 'sha384', curve: 'P-384' }],
  ['ES512', { kind: 'EC', hash: 'sha512', curve: 'P-521' }],
  ['RS256', { kind: 'RSA', hash: 'sha256' }],
  ['RS384', { kind: 'RSA', hash: 'sha384' }],
  ['RS512', { kind: 'RSA', hash: 'sha512' }],
  ['PS256', { kind: 'RSA', hash: 'sha256', padding: 'pss' }],
  ['PS384', { kind: 'RSA', hash: 'sha384', padding: 'pss' }],
  ['PS512', { kind: 'RSA', hash: 'sha512', padding: 'pss' }],
])

/** The algorithm that an AlgorithmIdentifier names, or undefined if it is not in the table. */
export function findSignatureAlgorithm(identifier: Buffer): SignatureAlgorithm | undefined {
  return BY_IDENTIFIER.get(identifier.toString('latin1'))
}

/** The algorithm that we sign certificates with under a key of this type (P-521 is never ours). */
export function certificateAlgorithmFor(type: KeyType): SignatureAlgorithm {
  const name = type.kind === 'RSA' ? 'sha256WithRSA' : EC_NAMES[type.curve]
  const algorithm = SIGNATURE_ALGORITHMS.find((one) => one.name === name)
  if (algorithm === undefined) throw new ServiceError('KEY_INVALID', `no algorithm named ${name}`)
  return algorithm
}

/** The JWS algorithm that we sign tokens with under a key of this type. */
export function jwsAlgorithmFor(type: KeyType): string {
  return type.kind === 'RSA' ? 'RS256' : JWS_NAMES[type.curve]
}

/** How an ECDSA signature is written: DER in certificates, two numbers side by side in JWS (RFC 7518 §3.4). */
export type EcdsaEncoding = 'der' | 'ieee-p1363'

/** A scheme with the key and the encoding that go with it. */
export interface SigningKey {
  readonly scheme: SignatureScheme
  readonly key: KeyObject
  readonly encoding: EcdsaEncoding
}

/** Signs with node:crypto, at once and in this thread (some 20 µs under P-256). */
export function signBytes(data: Uint8Array, signingKey: SigningKey): Buffer {
  return sign(signingKey.scheme.hash, data, keyInput(signingKey))
}

/** Whether the signature is right; malformed signatures are wrong ones. */
export function isSignedBy(
  data: Uint8Array,
  signature: Uint8Array,
  signingKey: SigningKey,
): boolean {
  try {
    return verify(signingKey.scheme.hash, data, keyInput(signingKey), signature)
  } catch {
    return false
  }
}

const EC_NAMES = {
  'P-256': 'ecdsa-with-SHA256',
  'P-384': 'ecdsa-with-SHA384',
  'P-521': 'ecdsa-with-SHA512',
} as const satisfies Record<Curve, string>

const JWS_NAMES = {
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
} as const satisfies Record<Curve, string>

/** Node takes a bare key some 9 µs faster than an object with the defaults spelt out. */
function keyInput({ scheme, key, encoding }: SigningKey): KeyObject | SignKeyObjectInput {
  if (scheme.kind === 'EC') return encoding === 'der' ? key : { key, dsaEncoding: encoding }
  if (scheme.padding === undefined) return key
  const saltLength = constants.RSA_PSS_SALTLEN_DIGEST
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
}

function row(name: string, scheme: SignatureScheme, identifier: string): SignatureAlgorithm {
  return { name, ...scheme, identifier: Buffer.from(identifier, 'hex') }
}

/** RSASSA-PSS parameters with one hash for message and mask, and a salt of its length (RFC 4055 §3.1). */
function pssIdentifier(sha2: number, saltOctets: number): string {
  const hash = `300d0609608648016503040${200 + sha2}0500`
  const mask = `301a06092a864886f70d010108${hash}`
  const salt = saltOctets.toString(16).padStart(2, '0')
  return `304106092a864886f70d01010a3034a00f${hash}a11c${mask}a2030201${salt}`
}
