import { X509Certificate } from 'node:crypto'
import { messageOf, ServiceError } from '../errors.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { certificateAlgorithmFor, type SignatureAlgorithm, signBytes } from './algorithms.ts'
import {
  authorityKeyIdOf,
  extension,
  keyIdentifier,
  randomSerial,
  readIssuer,
  VERSION_3,
  type X509Issuer,
} from './ca-certificate.ts'
import {
  type Certificate,
  certificateKey,
  certificateKeyType,
  readCertificateParts,
  readTbs,
  type TbsFacts,
} from './certificate.ts'
import { TAG } from './der.ts'
import { explicit, octetBits, octetString, oid, sequence, time, tlv } from './der-write.ts'
import { EXTENDED_KEY_USAGE, EXTENSION, GENERAL_NAME } from './extensions.ts'
import { subjectKeyIdentifier } from './key-pair.ts'
import { findLintFault, type SvidPurpose } from './svid-lint.ts'

export { type X509Issuer } from './ca-certificate.ts'
export { BACKDATE_SECONDS, MAX_X509_TTL_SECONDS } from './svid-lint.ts'

/** What an X509-SVID is made of; nothing of it comes from a CSR but the key. */
export interface X509SvidRequest {
  readonly id: SpiffeId
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
  readonly dnsNames: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  readonly issuer: X509Issuer
  /** `endpoint` for our own listeners, whose IDs lie under `/entente`; `workload` unless told. */
  readonly purpose?: SvidPurpose
}

/** A finished X509-SVID. */
export interface X509Svid {
  /** DER. */
  readonly certificate: Uint8Array
  /** Lower-case hex. */
  readonly serial: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** Octets that passed every lint; only {@link prepareX509Svid} makes one, only it can be signed. */
export type PreparedX509Svid = InstanceType<typeof Prepared>

/** Not exported, with private state: neither the type nor an instance can be made elsewhere. */
class Prepared {
  readonly #tbs: Buffer
  readonly #facts: TbsFacts
  readonly #template: IssuerTemplate

  constructor(tbs: Buffer, facts: TbsFacts, template: IssuerTemplate) {
    this.#tbs = tbs
    this.#facts = facts
    this.#template = template
  }

  sign(issuer: X509Issuer): X509Svid {
    const template = this.#template
    if (issuer !== template.issuer) throw refused('was prepared for another issuer')
    const { algorithm } = template
    const signingKey = { scheme: algorithm, key: issuer.privateKey, encoding: 'der' } as const
    const signature = signBytes(this.#tbs, signingKey)
    const certificate = sequence(this.#tbs, algorithm.identifier, octetBits(signature))
    this.#readBack(certificate)
    if (!template.isProven) template.isProven = isReadAlike(certificate, this.#facts, template)
    const { serial, notBefore, notAfter } = this.#facts
    return { certificate, serial, notBefore, notAfter }
  }

  /** What was linted need not be read again: the finished certificate must hold exactly those octets. */
  #readBack(der: Buffer): void {
    const { tbs, identifier, signature } = readCertificateParts(der)
    const isAsLinted = tbs.equals(this.#tbs) && identifier.equals(this.#facts.signatureIdentifier)
    if (!isAsLinted || signature.length === 0) throw refused('is not what was linted')
  }
}

/**
 * Builds the octets of an X509-SVID and lints them: what gets signed is read again, not what was meant.
 *
 * Throws `SVID_REFUSED` naming the rule that does not hold (X5-01 to X5-09, an ID without a path or of another
 * trust domain, a reserved path, an end after that of the issuer, …).
 */
export function prepareX509Svid(request: X509SvidRequest): PreparedX509Svid {
  const template = templateOf(request.issuer)
  const subjectKeyId = subjectKeyIdentifier(request.publicKey)
  const tbs = writeTbs(request, template, subjectKeyId)
  const facts = readOwn(tbs)
  const wanted = {
    ...request,
    subjectKeyId: subjectKeyId.toString('hex'),
    purpose: request.purpose ?? 'workload',
  }
  const { certificate: issuer, keyId: issuerKeyId } = template
  const fault = findLintFault({ facts, wanted, issuer, issuerKeyId })
  if (fault !== undefined) throw refused(`breaks the rule "${fault}"`)
  return new Prepared(tbs, facts, template)
}

/**
 * Signs what was prepared for this issuer and reads the finished certificate back.
 *
 * The first one under an issuer is also read and verified by OpenSSL, as a proof of key, algorithm and template.
 * Throws `SVID_REFUSED` when the issuer is another than the one it was prepared for.
 */
export function signX509Svid(prepared: PreparedX509Svid, issuer: X509Issuer): X509Svid {
  return prepared.sign(issuer)
}

/** What is the same in every certificate of one issuer, encoded once. */
interface IssuerTemplate {
  readonly issuer: X509Issuer
  readonly certificate: Certificate
  readonly keyId: string
  readonly algorithm: SignatureAlgorithm
  readonly authorityKeyId: Buffer
  /** Whether a certificate under this issuer has been verified by a second implementation. */
  isProven: boolean
}

const templates = new WeakMap<X509Issuer, IssuerTemplate>()

function templateOf(issuer: X509Issuer): IssuerTemplate {
  const known = templates.get(issuer)
  if (known !== undefined) return known
  const certificate = readIssuer(issuer)
  const keyId = authorityKeyIdOf(certificate)
  const template: IssuerTemplate = {
    issuer,
    certificate,
    keyId: keyId.toString('hex'),
    algorithm: certificateAlgorithmFor(certificateKeyType(certificate)),
    authorityKeyId: extension(EXTENSION.authorityKeyIdentifier, keyIdentifier(keyId)),
    isProven: false,
  }
  templates.set(issuer, template)
  return template
}

const EMPTY_NAME = sequence()
const USAGES = Object.values(EXTENDED_KEY_USAGE).map(oid)
const FIXED_EXTENSIONS = Buffer.concat([
  extension(EXTENSION.basicConstraints, sequence(), 'critical'),
  extension(EXTENSION.keyUsage, tlv(TAG.bitString, Buffer.from([7, 0x80])), 'critical'),
  extension(EXTENSION.extendedKeyUsage, sequence(...USAGES)),
])

function writeTbs(request: X509SvidRequest, template: IssuerTemplate, keyId: Buffer): Buffer {
  const { id, publicKey, dnsNames, notBefore, notAfter } = request
  const names = dnsNames.map((name) => tlv(GENERAL_NAME.dns, Buffer.from(name, 'latin1')))
  const uri = tlv(GENERAL_NAME.uri, Buffer.from(id, 'latin1'))
  const extensions = sequence(
    FIXED_EXTENSIONS,
    extension(EXTENSION.subjectAltName, sequence(uri, ...names), 'critical'),
    extension(EXTENSION.subjectKeyIdentifier, octetString(keyId)),
    template.authorityKeyId,
  )
  return sequence(
    VERSION_3,
    randomSerial(),
    template.algorithm.identifier,
    template.certificate.subject,
    sequence(time(notBefore), time(notAfter)),
    EMPTY_NAME,
    publicKey,
    explicit(3, extensions),
  )
}

function readOwn(tbs: Buffer): TbsFacts {
  try {
    return readTbs(tbs)
  } catch (cause) {
    throw refused(`cannot be read back: ${messageOf(cause)}`, cause)
  }
}

/** Whether OpenSSL verifies the certificate and sees in it what we saw; throws `SVID_REFUSED` if not. */
function isReadAlike(der: Buffer, facts: TbsFacts, template: IssuerTemplate): true {
  const certificate = openSslReads(der)
  const uris = facts.uriSans.map((uri) => `URI:${uri}`)
  const names = [...uris, ...facts.dnsSans.map((name) => `DNS:${name}`)]
  if (
    certificate.ca ||
    certificate.serialNumber.toLowerCase() !== facts.serial ||
    certificate.subjectAltName !== names.join(', ') ||
    !certificate.verify(certificateKey(template.certificate))
  ) {
    throw refused('is read differently by OpenSSL than by us')
  }
  return true
}

function openSslReads(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw refused('cannot be read back by OpenSSL', cause)
  }
}

function refused(what: string, cause?: unknown): ServiceError {
  const options = cause === undefined ? {} : { cause }
  return new ServiceError('SVID_REFUSED', `X509-SVID ${what}`, options)
}
