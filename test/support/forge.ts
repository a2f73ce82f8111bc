import { type KeyObject, randomBytes } from 'node:crypto'
import { certificateAlgorithmFor, signBytes } from '../../src/pki/algorithms.ts'
import { extension, keyIdentifier, VERSION_3 } from '../../src/pki/ca-certificate.ts'
import { TAG } from '../../src/pki/der.ts'
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
} from '../../src/pki/der-write.ts'
import { EXTENSION, GENERAL_NAME } from '../../src/pki/extensions.ts'
import {
  generateKeyPair,
  type KeyPair,
  keyTypeOf,
  spkiOf,
  subjectKeyIdentifier,
} from '../../src/pki/key-pair.ts'

/** Writes any certificate, right or wrong, for tests of those who must refuse the wrong ones. */
export interface Forgery {
  readonly keys?: KeyPair
  readonly subject?: string
  readonly issuer?: Forged
  readonly notBefore?: Date
  readonly notAfter?: Date
  readonly extensions: readonly Buffer[]
  readonly omitKeyIds?: boolean
  readonly publicKey?: KeyObject
  readonly version?: 1 | 3
  readonly serial?: Uint8Array
  /** Hex of an AlgorithmIdentifier to claim instead of the real one. */
  readonly claimAlgorithm?: string
  readonly breakSignature?: boolean
}

/** A forged certificate with what is needed to sign under it. */
export interface Forged {
  readonly der: Buffer
  readonly keys: KeyPair
  readonly name: Buffer
}

export const NOW = new Date('2027-01-15T08:00:00Z')
export const HOUR = 3_600_000
const HOUR_AGO = new Date(NOW.getTime() - HOUR)
const IN_AN_HOUR = new Date(NOW.getTime() + HOUR)

export function forge(forgery: Forgery): Forged {
  const { notBefore = HOUR_AGO, notAfter = IN_AN_HOUR } = forgery
  const keys = forgery.keys ?? generateKeyPair()
  const name = nameOf(forgery.subject)
  const signer = forgery.issuer ?? { keys, name }
  const spki = spkiOf(forgery.publicKey ?? keys.publicKey)
  const scheme = certificateAlgorithmFor(keyTypeOf(spkiOf(signer.keys.publicKey)))
  const claimed = forgery.claimAlgorithm ?? scheme.identifier.toString('hex')
  const identifier = Buffer.from(claimed, 'hex')
  const extensions = [
    ...forgery.extensions,
    ...(forgery.omitKeyIds === true ? [] : keyIds(spki, spkiOf(signer.keys.publicKey))),
  ]
  const isV3 = forgery.version !== 1
  const tbs = sequence(
    ...(isV3 ? [VERSION_3] : []),
    unsigned(forgery.serial ?? Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    identifier,
    signer.name,
    sequence(time(notBefore), time(notAfter)),
    name,
    spki,
    ...(isV3 && extensions.length > 0 ? [explicit(3, sequence(...extensions))] : []),
  )
  const signature = signBytes(tbs, { scheme, key: signer.keys.privateKey, encoding: 'der' })
  if (forgery.breakSignature === true) signature[signature.length - 1]! ^= 1
  return { der: sequence(tbs, identifier, octetBits(signature)), keys, name }
}

/** A CA as the standard wants it, for the given extensions beside. */
export function forgeCa(
  forgery: Omit<Forgery, 'extensions'> & {
    readonly uri?: string | undefined
    readonly pathLength?: number
    readonly keyUsage?: Buffer | undefined
    readonly more?: readonly Buffer[]
  },
): Forged {
  const { uri, pathLength, more = [] } = forgery
  return forge({
    subject: 'ca',
    ...forgery,
    extensions: [
      basicConstraints({ isCa: true, ...(pathLength === undefined ? {} : { pathLength }) }),
      ...('keyUsage' in forgery
        ? forgery.keyUsage === undefined
          ? []
          : [forgery.keyUsage]
        : [keyUsage(0x06, 1)]),
      ...(uri === undefined ? [] : [sans({ uris: [uri] })]),
      ...more,
    ],
  })
}

/** A leaf as the standard wants it, except for what is given. */
export function forgeLeaf(
  forgery: Omit<Forgery, 'extensions'> & {
    readonly issuer: Forged
    readonly uris?: readonly string[]
    readonly dnsNames?: readonly string[]
    readonly constraints?: Buffer
    readonly keyUsage?: Buffer | undefined
    readonly more?: readonly Buffer[]
  },
): Forged {
  const { uris = ['spiffe://acme.example/web'], dnsNames = [], more = [] } = forgery
  return forge({
    ...forgery,
    extensions: [
      forgery.constraints ?? basicConstraints({ isCa: false }),
      ...('keyUsage' in forgery
        ? forgery.keyUsage === undefined
          ? []
          : [forgery.keyUsage]
        : [keyUsage(0x80, 7)]),
      ...(uris.length + dnsNames.length === 0 ? [] : [sans({ uris, dnsNames })]),
      ...more,
    ],
  })
}

export function basicConstraints(value: { isCa: boolean; pathLength?: number }): Buffer {
  const { isCa, pathLength } = value
  const length = pathLength === undefined ? [] : [unsigned(Buffer.from([pathLength]))]
  const content = sequence(...(isCa ? [TRUE] : []), ...length)
  return extension(EXTENSION.basicConstraints, content, 'critical')
}

export function keyUsage(bits: number, unused: number): Buffer {
  const value = tlv(TAG.bitString, Buffer.from([unused, bits]))
  return extension(EXTENSION.keyUsage, value, 'critical')
}

export function sans(names: { uris?: readonly string[]; dnsNames?: readonly string[] }): Buffer {
  const parts = [
    ...(names.uris ?? []).map((uri) => tlv(GENERAL_NAME.uri, Buffer.from(uri, 'latin1'))),
    ...(names.dnsNames ?? []).map((name) => tlv(GENERAL_NAME.dns, Buffer.from(name, 'latin1'))),
  ]
  return extension(EXTENSION.subjectAltName, sequence(...parts), 'critical')
}

const list = (names: readonly (readonly [number, string])[]): Buffer[] =>
  names.map(([tag, name]) => sequence(tlv(tag, Buffer.from(name, 'latin1'))))

/** permitted [0] or excluded [1] subtrees of one kind (tag of the GeneralName). */
export function constraints(subtrees: {
  permitted?: readonly (readonly [number, string])[]
  excluded?: readonly (readonly [number, string])[]
}): Buffer {
  const { permitted, excluded } = subtrees
  const value = sequence(
    ...(permitted === undefined ? [] : [explicit(0, ...list(permitted))]),
    ...(excluded === undefined ? [] : [explicit(1, ...list(excluded))]),
  )
  return extension(EXTENSION.nameConstraints, value, 'critical')
}

function keyIds(spki: Uint8Array, issuerSpki: Uint8Array): Buffer[] {
  return [
    extension(EXTENSION.subjectKeyIdentifier, octetString(subjectKeyIdentifier(spki))),
    extension(EXTENSION.authorityKeyIdentifier, keyIdentifier(subjectKeyIdentifier(issuerSpki))),
  ]
}

function nameOf(commonName: string | undefined): Buffer {
  if (commonName === undefined) return sequence()
  const attribute = sequence(oid('2.5.4.3'), tlv(TAG.utf8String, Buffer.from(commonName)))
  return sequence(tlv(TAG.set, attribute))
}
