import { type KeyObject } from 'node:crypto'
import { messageOf, ServiceError } from '../errors.ts'
import {
  certificateAlgorithmFor,
  findSignatureAlgorithm,
  isSignedBy,
  type KeyType,
  signBytes,
} from './algorithms.ts'
import {
  contextTag,
  expectTag,
  rawOf,
  readDer,
  readOctetBits,
  readSmallInteger,
  sequenceOf,
  TAG,
} from './der.ts'
import { explicit, octetBits, sequence, unsigned } from './der-write.ts'
import { describeKey, importPublicKey, type KeyPair, keyTypeOf, spkiOf } from './key-pair.ts'

/** Largest CSR that we read: one with an RSA 8192 key and generous names takes under 4 KiB. */
export const MAX_CSR_BYTES = 16 * 1024

/** All that a CSR tells us: a key, and that its sender holds the private half. */
export interface CsrKey {
  readonly publicKey: KeyObject
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
}

/**
 * Reads a PKCS#10 request (RFC 2986): proof of possession and an allowed key, P-256, P-384 or RSA 2048 to 8192.
 *
 * Names, attributes and requested extensions are not read at all; identity comes from evidence and entries.
 * Throws `CSR_REJECTED` with what was found and wanted, never with the CSR.
 */
export function readCsr(der: Uint8Array): CsrKey {
  if (der.length > MAX_CSR_BYTES) {
    throw rejected(`has ${der.length} bytes, at most ${MAX_CSR_BYTES} are allowed`)
  }
  const { info, spki, identifier, signature } = asCsrFault(() => partsOf(der))
  const type = allowedType(spki)
  const scheme = findSignatureAlgorithm(identifier)
  if (scheme === undefined || scheme.kind !== type.kind) {
    throw rejected(`is not signed with its own ${describeKey(type)} key under SHA-256 or better`)
  }
  const publicKey = asCsrFault(() => importPublicKey(spki))
  if (!isSignedBy(info, signature, { scheme, key: publicKey, encoding: 'der' })) {
    throw rejected('has a wrong signature; sign it with the private half of the key in it')
  }
  return { publicKey, spki }
}

/** Makes a CSR that proves possession of the key and asks for nothing else: no subject, no attributes. */
export function createCsr(keys: KeyPair): Uint8Array {
  const spki = spkiOf(keys.publicKey)
  const info = sequence(unsigned(Buffer.from([0])), sequence(), spki, explicit(0))
  const scheme = certificateAlgorithmFor(keyTypeOf(spki))
  const signature = signBytes(info, { scheme, key: keys.privateKey, encoding: 'der' })
  return sequence(info, scheme.identifier, octetBits(signature))
}

interface CsrParts {
  readonly info: Buffer
  readonly spki: Buffer
  readonly identifier: Buffer
  readonly signature: Buffer
}

function partsOf(der: Uint8Array): CsrParts {
  const [info, algorithm, signature, ...rest] = sequenceOf(readDer(der), 'request')
  const [version, subject, spki, attributes, ...more] = sequenceOf(info, 'request info')
  if (info === undefined || rest.length > 0 || more.length > 0) throw rejected('has extra parts')
  if (readSmallInteger(version, 'version') !== 0) throw rejected('has an unknown version')
  expectTag(subject, TAG.sequence, 'subject')
  if (attributes !== undefined) expectTag(attributes, contextTag(0, 'constructed'), 'attributes')
  return {
    info: rawOf(info),
    spki: rawOf(expectTag(spki, TAG.sequence, 'public key')),
    identifier: rawOf(expectTag(algorithm, TAG.sequence, 'signature algorithm')),
    signature: readOctetBits(signature, 'signature'),
  }
}

function allowedType(spki: Buffer): KeyType {
  const type = asCsrFault(() => keyTypeOf(spki))
  if (type.kind === 'EC' && type.curve === 'P-521') {
    throw rejected('has a P-521 key, wanted P-256, P-384 or RSA of 2048 to 8192 bits')
  }
  return type
}

function asCsrFault<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof ServiceError && cause.code === 'CSR_REJECTED') throw cause
    throw rejected(messageOf(cause), cause)
  }
}

function rejected(what: string, cause?: unknown): ServiceError {
  return new ServiceError('CSR_REJECTED', `CSR: ${what}`, {
    next: 'send PKCS#10 in PEM or base64 DER, signed by a P-256, P-384 or RSA key of 2048 bits or more',
    ...(cause === undefined ? {} : { cause }),
  })
}
