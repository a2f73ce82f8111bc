import { type KeyObject, randomBytes, randomFillSync, X509Certificate } from 'node:crypto'
import { ServiceError } from '../errors.ts'
import { trustDomainId } from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { certificateAlgorithmFor, signBytes } from './algorithms.ts'
import { type Certificate, readCertificate } from './certificate.ts'
import { contextTag, TAG } from './der.ts'
import {
  explicit,
  octetBits,
  octetString,
  oid,
  sequence,
  time,
  tlv,
  TRUE,
  unsigned,
} from './der-write.ts'
import { EXTENSION, GENERAL_NAME, KEY_USAGE } from './extensions.ts'
import { type KeyPair, keyTypeOf, publicKeyOf, spkiOf, subjectKeyIdentifier } from './key-pair.ts'

/** An authority that signs: its certificate in DER and its private key. */
export interface X509Issuer {
  readonly certificate: Uint8Array
  readonly privateKey: KeyObject
}

/** What a root is made of. */
export interface RootRequest {
  readonly trustDomain: TrustDomain
  readonly keys: KeyPair
  readonly notBefore: Date
  readonly notAfter: Date
  /** Common name; a random serial number beside it keeps every subject unique. */
  readonly subject?: string
}

/** What an intermediate is made of. */
export interface IntermediateRequest {
  readonly trustDomain: TrustDomain
  readonly publicKey: KeyObject
  readonly issuer: X509Issuer
  readonly notBefore: Date
  readonly notAfter: Date
  readonly subject?: string
  /** How many more CAs may follow; 0 unless asked. */
  readonly pathLength?: number
}

/**
 * Makes a self-signed root: one URI SAN `spiffe://<td>` without a path, keyCertSign and cRLSign only, SKI and AKI
 * (X5-05, X5-10 to X5-15, X5-30).
 *
 * Throws `SVID_REFUSED` when the times make no sense.
 */
export function createRoot(request: RootRequest): Uint8Array {
  const { trustDomain, keys, notBefore, notAfter } = request
  const spki = spkiOf(keys.publicKey)
  const subject = nameOf(trustDomain, request.subject ?? 'Entente root')
  const draft = { trustDomain, spki, subject, notBefore, notAfter }
  const own = { name: subject, keyId: subjectKeyIdentifier(spki), privateKey: keys.privateKey }
  return signCa(draft, own)
}

/**
 * Makes an intermediate under an issuer, with path length 0 unless asked otherwise.
 *
 * Throws `SVID_REFUSED` when the issuer may not sign it or would end before it.
 */
export function createIntermediate(request: IntermediateRequest): Uint8Array {
  const { trustDomain, publicKey, issuer, notBefore, notAfter, pathLength = 0 } = request
  const parent = readIssuer(issuer)
  if (notAfter > parent.notAfter) throw refused('intermediate would outlive its issuer')
  const room = parent.basicConstraints?.pathLength
  if (room !== undefined && room <= pathLength) {
    throw refused(`issuer has path length ${room}, too short for an intermediate of ${pathLength}`)
  }
  const subject = nameOf(trustDomain, request.subject ?? 'Entente intermediate')
  const draft = { trustDomain, spki: spkiOf(publicKey), subject, notBefore, notAfter, pathLength }
  return signCa(draft, {
    name: parent.subject,
    keyId: authorityKeyIdOf(parent),
    privateKey: issuer.privateKey,
  })
}

/**
 * The issuer's certificate, once it is certain that it is a CA and that the private key belongs to it.
 *
 * Throws `SVID_REFUSED`.
 */
export function readIssuer(issuer: X509Issuer): Certificate {
  const certificate = readCertificate(issuer.certificate)
  const maySign = ((certificate.keyUsage ?? 0) & KEY_USAGE.keyCertSign) !== 0
  if (!certificate.isCa || !maySign) throw refused('issuer is no CA with keyCertSign')
  const spki = spkiOf(publicKeyOf(issuer.privateKey))
  if (!certificate.spki.equals(spki)) throw refused('private key is not that of the issuer')
  return certificate
}

/** The key identifier that certificates under this issuer name (RFC 5280 §4.2.1.1). */
export function authorityKeyIdOf(issuer: Certificate): Buffer {
  return issuer.subjectKeyId === undefined
    ? subjectKeyIdentifier(issuer.spki)
    : Buffer.from(issuer.subjectKeyId, 'hex')
}

/** A serial number of 128 random bits as an INTEGER: positive, never shortened (RFC 5280 §4.1.2.2). */
export function randomSerial(): Buffer {
  if (randomAt === random.length) {
    randomFillSync(random)
    randomAt = 0
  }
  const octets = Buffer.allocUnsafe(17)
  octets[0] = 1 // keeps all 128 bits random, the number positive and its length the same
  random.copy(octets, 1, randomAt, (randomAt += 16))
  return unsigned(octets)
}

/** Random octets for the next 256 serial numbers: one call of the system instead of one each. */
const random = Buffer.alloc(4096)
let randomAt = random.length

/** One extension; `critical` is written only when true, since false is the default (X.690 §11.5). */
export function extension(id: string, value: Uint8Array, critical?: 'critical'): Buffer {
  return critical === undefined
    ? sequence(oid(id), octetString(value))
    : sequence(oid(id), TRUE, octetString(value))
}

interface CaDraft {
  readonly trustDomain: TrustDomain
  readonly spki: Uint8Array
  readonly subject: Buffer
  readonly notBefore: Date
  readonly notAfter: Date
  readonly pathLength?: number
}

interface Signer {
  readonly name: Buffer
  readonly keyId: Buffer
  readonly privateKey: KeyObject
}

function signCa(draft: CaDraft, signer: Signer): Uint8Array {
  if (draft.notAfter <= draft.notBefore) throw refused('certificate would end before it begins')
  const publicKey = publicKeyOf(signer.privateKey)
  const algorithm = certificateAlgorithmFor(keyTypeOf(spkiOf(publicKey)))
  const tbs = sequence(
    VERSION_3,
    randomSerial(),
    algorithm.identifier,
    signer.name,
    sequence(time(draft.notBefore), time(draft.notAfter)),
    draft.subject,
    draft.spki,
    explicit(3, sequence(...caExtensions(draft, signer.keyId))),
  )
  const signature = signBytes(tbs, { scheme: algorithm, key: signer.privateKey, encoding: 'der' })
  const der = sequence(tbs, algorithm.identifier, octetBits(signature))
  readBack(der, publicKey)
  return der
}

function caExtensions(draft: CaDraft, issuerKeyId: Buffer): Buffer[] {
  const length = draft.pathLength === undefined ? [] : [unsigned(Buffer.from([draft.pathLength]))]
  const uri = Buffer.from(trustDomainId(draft.trustDomain), 'latin1')
  return [
    extension(EXTENSION.basicConstraints, sequence(TRUE, ...length), 'critical'),
    extension(EXTENSION.keyUsage, CA_KEY_USAGE, 'critical'),
    extension(EXTENSION.subjectKeyIdentifier, octetString(subjectKeyIdentifier(draft.spki))),
    extension(EXTENSION.authorityKeyIdentifier, keyIdentifier(issuerKeyId)),
    extension(EXTENSION.subjectAltName, sequence(tlv(GENERAL_NAME.uri, uri))),
  ]
}

/** AuthorityKeyIdentifier with the key identifier alone (RFC 5280 §4.2.1.1). */
export function keyIdentifier(keyId: Uint8Array): Buffer {
  return sequence(tlv(contextTag(0, 'primitive'), keyId))
}

/** `version` of every certificate that has extensions. */
export const VERSION_3: Buffer = explicit(0, unsigned(Buffer.from([2])))

/** keyCertSign and cRLSign: one unused bit. */
const CA_KEY_USAGE = tlv(TAG.bitString, Buffer.from([1, 0x06]))

/** O = trust domain, CN = kind, serialNumber = 64 random bits; O is cut to its bound of 64 (RFC 5280 A.1). */
function nameOf(trustDomain: TrustDomain, commonName: string): Buffer {
  const attributes = [
    ['2.5.4.10', trustDomain.slice(0, 64)],
    ['2.5.4.3', commonName.slice(0, 64)],
    ['2.5.4.5', randomBytes(8).toString('hex')],
  ] as const
  const parts = attributes.map(([id, text]) => {
    const tag = id === '2.5.4.5' ? TAG.printableString : TAG.utf8String
    return tlv(TAG.set, sequence(oid(id), tlv(tag, Buffer.from(text, 'utf8'))))
  })
  return sequence(...parts)
}

/** A CA lives long and is trusted widely, so a second reader (OpenSSL) must accept what we wrote. */
function readBack(der: Buffer, issuerKey: KeyObject): void {
  const certificate = new X509Certificate(der)
  if (!certificate.ca || !certificate.verify(issuerKey)) {
    throw refused('certificate did not survive being read back')
  }
}

function refused(what: string): ServiceError {
  return new ServiceError('SVID_REFUSED', `CA certificate: ${what}`)
}
