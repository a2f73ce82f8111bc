import { createHash, type KeyObject } from 'node:crypto'
import { messageOf, ServiceError } from '../errors.ts'
import {
  findSignatureAlgorithm,
  isSignedBy,
  type KeyType,
  type SignatureAlgorithm,
} from './algorithms.ts'
import {
  childrenOf,
  contentOf,
  contextTag,
  type DerElement,
  expectTag,
  rawOf,
  readDer,
  readOctetBits,
  readSmallInteger,
  readTime,
  readUnsigned,
  sequenceOf,
  TAG,
} from './der.ts'
import { type Extensions, readExtensions } from './extensions.ts'
import { importPublicKey, keyTypeOf } from './key-pair.ts'

export { splitPem, toPem } from './pem.ts'

/** What the signed part of a certificate says. */
export interface TbsFacts extends Extensions {
  /** 1, 2 or 3. */
  readonly version: number
  /** Lower-case hex without leading zeros (an even number of digits). */
  readonly serial: string
  /** DER of the issuer's name; names are compared octet by octet. */
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly hasSubject: boolean
  readonly notBefore: Date
  readonly notAfter: Date
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer
  readonly isCa: boolean
  /** DER AlgorithmIdentifier inside the signed part. */
  readonly signatureIdentifier: Buffer
}

/** The facts of a certificate, read strictly from its DER. */
export interface Certificate extends TbsFacts {
  readonly der: Buffer
  /** The signed octets. */
  readonly tbs: Buffer
  readonly signature: Buffer
  /** Undefined when the algorithm is not in our table (SHA-1, MD5, unknown parameters). */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined
}

/** Largest certificate that we read: RSA 8192 keys and signatures fit many times over. */
export const MAX_CERTIFICATE_BYTES = 16 * 1024

/**
 * Reads a certificate from DER; says nothing about trust.
 *
 * Throws `CERTIFICATE_INVALID` for whatever RFC 5280 §4.1 does not allow, naming the part.
 */
export function readCertificate(der: Uint8Array): Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    const found = `has ${der.length} bytes, at most ${MAX_CERTIFICATE_BYTES} are allowed`
    throw new ServiceError('CERTIFICATE_INVALID', `certificate ${found}`)
  }
  return asCertificateFault(() => {
    const root = readDer(der)
    const { tbs, identifier, signature } = partsOf(root)
    const facts = tbsFacts(tbs)
    if (!identifier.equals(facts.signatureIdentifier)) {
      throw new ServiceError('CERTIFICATE_INVALID', 'certificate names two signature algorithms')
    }
    return {
      ...facts,
      der: rawOf(root),
      tbs: rawOf(tbs),
      signature,
      signatureAlgorithm: findSignatureAlgorithm(identifier),
    }
  })
}

/** The three parts of a certificate: signed octets, DER AlgorithmIdentifier and signature. */
export interface CertificateParts {
  readonly tbs: Buffer
  readonly identifier: Buffer
  readonly signature: Buffer
}

/** Takes a certificate apart without reading what was signed; throws `CERTIFICATE_INVALID`. */
export function readCertificateParts(der: Uint8Array): CertificateParts {
  return asCertificateFault(() => {
    const parts = partsOf(readDer(der))
    return { ...parts, tbs: rawOf(parts.tbs) }
  })
}

/** Reads the part of a certificate that gets signed; throws `CERTIFICATE_INVALID`. */
export function readTbs(tbs: Uint8Array): TbsFacts {
  return asCertificateFault(() => tbsFacts(readDer(tbs)))
}

/** The kind of the certificate's key; throws `KEY_INVALID` for kinds outside our policy. */
export function certificateKeyType(certificate: TbsFacts): KeyType {
  return keyTypeOf(certificate.spki)
}

/**
 * The certificate's key, ready to verify with; imported once per object.
 *
 * Throws `KEY_INVALID`.
 */
export function certificateKey(certificate: Certificate): KeyObject {
  const known = keys.get(certificate)
  if (known !== undefined) return known
  const key = importPublicKey(certificate.spki)
  keys.set(certificate, key)
  return key
}

const keys = new WeakMap<Certificate, KeyObject>()

/** Whether this certificate's signature was made with the issuer's key by an algorithm that we accept. */
export function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  const scheme = certificate.signatureAlgorithm
  if (scheme === undefined || keyTypeOf(issuer.spki).kind !== scheme.kind) return false
  const signingKey = { scheme, key: certificateKey(issuer), encoding: 'der' } as const
  return isSignedBy(certificate.tbs, certificate.signature, signingKey)
}

/** SHA-256 of the DER, lower-case hex: how people compare certificates. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex')
}

function partsOf(root: DerElement): Omit<CertificateParts, 'tbs'> & { readonly tbs: DerElement } {
  const [tbs, algorithm, signature, ...rest] = sequenceOf(root, 'certificate')
  if (tbs === undefined || algorithm === undefined || rest.length > 0) {
    throw new ServiceError('CERTIFICATE_INVALID', 'certificate has not exactly three parts')
  }
  return { tbs, identifier: rawOf(algorithm), signature: readOctetBits(signature, 'signature') }
}

function asCertificateFault<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof ServiceError && cause.code === 'CERTIFICATE_INVALID') throw cause
    const message = `certificate is malformed: ${messageOf(cause)}`
    throw new ServiceError('CERTIFICATE_INVALID', message, { cause })
  }
}

function tbsFacts(element: DerElement): TbsFacts {
  const fields = sequenceOf(element, 'signed part')
  const version = readVersion(fields)
  const [serial, algorithm, issuer, validity, subject, spki, ...tail] = fields
  const extensions = readExtensions(extensionsIn(tail, version))
  const [notBefore, notAfter] = sequenceOf(validity, 'validity')
  const subjectName = expectTag(subject, TAG.sequence, 'subject')
  return {
    ...extensions,
    version,
    serial: readSerial(serial),
    issuer: rawOf(expectTag(issuer, TAG.sequence, 'issuer')),
    subject: rawOf(subjectName),
    hasSubject: contentOf(subjectName).length > 0,
    notBefore: readTime(notBefore, 'not before'),
    notAfter: readTime(notAfter, 'not after'),
    spki: rawOf(expectTag(spki, TAG.sequence, 'public key')),
    isCa: extensions.basicConstraints?.isCa ?? false,
    signatureIdentifier: rawOf(expectTag(algorithm, TAG.sequence, 'signature algorithm')),
  }
}

/** Takes the version off the front of the fields; without one it is 1. */
function readVersion(fields: DerElement[]): number {
  const [first] = fields
  if (first?.tag !== contextTag(0, 'constructed')) return 1
  fields.shift()
  const [version] = childrenOf(first)
  const number = readSmallInteger(version, 'version') + 1
  if (number !== 2 && number !== 3) {
    throw new ServiceError('CERTIFICATE_INVALID', `certificate has the unknown version ${number}`)
  }
  return number
}

/** At most 20 octets and positive or zero (RFC 5280 §4.1.2.2). */
function readSerial(element: DerElement | undefined): string {
  const octets = readUnsigned(element, 'serial number')
  if (octets.length > 20) {
    throw new ServiceError('CERTIFICATE_INVALID', 'certificate has a serial number over 20 octets')
  }
  return octets.toString('hex')
}

/** What follows the key: unique identifiers (v2 and v3), which say nothing to us, and extensions (v3). */
function extensionsIn(tail: readonly DerElement[], version: number): DerElement | undefined {
  let found: DerElement | undefined
  let last = 0
  for (const element of tail) {
    const number = element.tag & 0x1f
    const isKnown = TAIL.has(element.tag) && number > last
    if (!isKnown || version < (number === 3 ? 3 : 2)) {
      throw new ServiceError('CERTIFICATE_INVALID', 'certificate has a field that we do not know')
    }
    last = number
    if (number === 3) [found] = childrenOf(element)
  }
  return found
}

const TAIL = new Set([
  contextTag(1, 'primitive'),
  contextTag(2, 'primitive'),
  contextTag(3, 'constructed'),
])
