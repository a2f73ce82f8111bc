import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
} from 'node:crypto'
import { messageOf, ServiceError } from '../errors.ts'
import { type PublicJwk } from '../spiffe/bundle.ts'
import {
  type Curve,
  KEY_ALGORITHMS,
  type KeyAlgorithm,
  type KeyType,
  MAX_RSA_BITS,
  MIN_RSA_BITS,
} from './algorithms.ts'
import { rawOf, readDer, readOctetBits, readUnsigned, sequenceOf } from './der.ts'

export { type KeyAlgorithm } from './algorithms.ts'

/** A private key and its public half. */
export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** Largest key in any encoding that we read: RSA 8192 with all its primes takes under 5 KiB. */
const MAX_KEY_BYTES = 16 * 1024

/** Makes a key; RSA takes a noticeable fraction of a second, P-256 some 20 µs. */
export function generateKeyPair(algorithm: KeyAlgorithm = 'ES256'): KeyPair {
  const row = KEY_ALGORITHMS[algorithm]
  return row.type === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: row.curve })
    : generateKeyPairSync('rsa', { modulusLength: row.bits })
}

/** PKCS#8 DER, unencrypted: to be sealed at once. */
export function exportPrivateKey(key: KeyObject): Uint8Array {
  return key.export({ type: 'pkcs8', format: 'der' })
}

/** Reads PKCS#8 DER of a key that our policy allows; throws `KEY_INVALID` without quoting the key. */
export function importPrivateKey(der: Uint8Array): KeyObject {
  try {
    const key = createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' })
    keyTypeOf(spkiOf(createPublicKey(key)))
    return key
  } catch (cause) {
    throw new ServiceError('KEY_INVALID', 'private key is not PKCS#8 of an allowed kind', { cause })
  }
}

/** The public half of a private key. */
export function publicKeyOf(privateKey: KeyObject): KeyObject {
  return createPublicKey(privateKey)
}

/** DER SubjectPublicKeyInfo. */
export function spkiOf(publicKey: KeyObject): Uint8Array {
  return publicKey.export({ type: 'spki', format: 'der' })
}

/**
 * Reads a SubjectPublicKeyInfo into a key that can verify; the point must lie on its curve.
 *
 * Throws `KEY_INVALID` for anything that {@link keyTypeOf} refuses.
 */
export function importPublicKey(spki: Uint8Array): KeyObject {
  keyTypeOf(spki)
  try {
    const key = Buffer.isBuffer(spki) ? spki : Buffer.from(spki)
    return createPublicKey({ key, format: 'der', type: 'spki' })
  } catch (cause) {
    throw invalid(`public key: ${messageOf(cause)}`, cause)
  }
}

/** A JWK as a key that can verify; throws `KEY_INVALID` (a point off its curve, an RSA key too short). */
export function importPublicJwk(jwk: PublicJwk): KeyObject {
  try {
    const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
    keyTypeOf(spkiOf(key))
    return key
  } catch (cause) {
    throw invalid(`JWK: ${messageOf(cause)}`, cause)
  }
}

/**
 * The kind of key that a SubjectPublicKeyInfo holds, read from its octets.
 *
 * Allowed are uncompressed points on P-256, P-384 and P-521 by curve name (RFC 5480 §2) and RSA moduli of
 * 2048 to 8192 bits with an odd exponent above 2 (RFC 8017 §3.1). Throws `KEY_INVALID`.
 */
export function keyTypeOf(spki: Uint8Array): KeyType {
  if (spki.length > MAX_KEY_BYTES) throw invalid(`public key has ${spki.length} bytes`)
  const [algorithm, key] = sequenceOf(readDer(spki), 'public key')
  if (algorithm === undefined) throw invalid('public key names no algorithm')
  const identifier = rawOf(algorithm).toString('hex')
  const octets = readOctetBits(key, 'public key')
  if (identifier === RSA_IDENTIFIER) return rsaType(octets)
  const curve = EC_IDENTIFIERS.get(identifier)
  if (curve === undefined) throw invalid('public key is neither RSA nor on P-256, P-384 or P-521')
  if (octets[0] !== 4 || octets.length !== 1 + 2 * curve.octets) {
    throw invalid(`public key is no uncompressed point on ${curve.name}`)
  }
  return { kind: 'EC', curve: curve.name }
}

/** How a key is called in messages: `P-256`, `RSA 2048`. */
export function describeKey(type: KeyType): string {
  return type.kind === 'EC' ? type.curve : `RSA ${type.bits}`
}

/** The members that a bundle publishes of a key (RFC 7518 §6). */
export function publicJwk(publicKey: KeyObject): PublicJwk {
  const { kty, crv, x, y, n, e } = publicKey.export({ format: 'jwk' })
  if (kty === 'EC' && crv !== undefined && x !== undefined && y !== undefined) {
    return { kty, crv, x, y }
  }
  if (kty === 'RSA' && n !== undefined && e !== undefined) return { kty, n, e }
  throw invalid(`public key has the unknown kty ${String(kty)}`)
}

/** RFC 7638 thumbprint under SHA-256: the `kid` of JWT keys and our stable name of any key. */
export function keyId(publicKey: KeyObject): string {
  const { kty, crv, x, y, n, e } = publicJwk(publicKey)
  const members = kty === 'EC' ? { crv, kty, x, y } : { e, kty, n } // in this order (RFC 7638 §3.2)
  return hash('sha256', JSON.stringify(members), 'base64url')
}

/** SHA-256 of a SubjectPublicKeyInfo. */
export function publicKeySha256(spki: Uint8Array): Uint8Array {
  return hash('sha256', spki, 'buffer')
}

/** Subject key identifier of a key: the leftmost 160 bits of SHA-256 over its bits (RFC 7093 §2, method 1). */
export function subjectKeyIdentifier(spki: Uint8Array): Buffer {
  const [, key] = sequenceOf(readDer(spki), 'public key')
  return hash('sha256', readOctetBits(key, 'public key'), 'buffer').subarray(0, 20)
}

const RSA_IDENTIFIER = '300d06092a864886f70d0101010500'
const EC_IDENTIFIERS = new Map<string, { readonly name: Curve; readonly octets: number }>([
  ['301306072a8648ce3d020106082a8648ce3d030107', { name: 'P-256', octets: 32 }],
  ['301006072a8648ce3d020106052b81040022', { name: 'P-384', octets: 48 }],
  ['301006072a8648ce3d020106052b81040023', { name: 'P-521', octets: 66 }],
])

function rsaType(octets: Buffer): KeyType {
  const [modulus, exponent] = sequenceOf(readDer(octets), 'RSA key')
  const n = readUnsigned(modulus, 'RSA modulus')
  const e = readUnsigned(exponent, 'RSA exponent')
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) {
    throw invalid(`RSA key has ${bits} bits, wanted ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`)
  }
  const isOdd = ((e.at(-1) ?? 0) & 1) === 1
  if (!isOdd || e.length > 8 || (e.length === 1 && e[0] === 1)) {
    throw invalid('RSA key has an exponent that is even, 1 or beyond 64 bits')
  }
  return { kind: 'RSA', bits }
}

function invalid(message: string, cause?: unknown): ServiceError {
  return new ServiceError('KEY_INVALID', message, cause === undefined ? {} : { cause })
}
