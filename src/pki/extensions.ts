import { ServiceError } from '../errors.ts'
import {
  childrenOf,
  contentOf,
  contextTag,
  type DerElement,
  expectTag,
  readAscii,
  readBoolean,
  readDer,
  readHex,
  readNamedBits,
  readOid,
  readSmallInteger,
  sequenceOf,
  TAG,
} from './der.ts'

/** Object identifiers of the extensions that we read or write (RFC 5280 §4.2). */
export const EXTENSION = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const

/** Key usage bits as {@link readNamedBits} has them, bit 0 most significant (RFC 5280 §4.2.1.3). */
export const KEY_USAGE = {
  digitalSignature: 0x8000,
  keyEncipherment: 0x2000,
  keyAgreement: 0x0800,
  keyCertSign: 0x0400,
  cRLSign: 0x0200,
} as const

/** Extended key usages of an SVID (X5-09). */
export const EXTENDED_KEY_USAGE = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

/** Tags of the GeneralName kinds that we know (RFC 5280 §4.2.1.6). */
export const GENERAL_NAME = {
  dns: contextTag(2, 'primitive'),
  uri: contextTag(6, 'primitive'),
} as const

/** Kinds of name that name constraints may speak about and we can check. */
export type ConstrainedKind = 'dns' | 'uri'

/** Permitted and excluded subtrees of one certificate (RFC 5280 §4.2.1.10). */
export interface NameConstraints {
  readonly permitted: ReadonlyMap<ConstrainedKind, readonly string[]>
  readonly excluded: ReadonlyMap<ConstrainedKind, readonly string[]>
}

/** What the extensions of a certificate say. */
export interface Extensions {
  readonly basicConstraints: { readonly isCa: boolean; readonly pathLength?: number } | undefined
  readonly keyUsage: number | undefined
  readonly extendedKeyUsage: readonly string[] | undefined
  readonly uriSans: readonly string[]
  readonly dnsSans: readonly string[]
  /** Subject alternative names of other kinds. */
  readonly otherSans: number
  readonly subjectKeyId: string | undefined
  readonly authorityKeyId: string | undefined
  /** Undefined: none. `unknown`: of a kind that we cannot check, so nothing under this CA can be trusted. */
  readonly nameConstraints: NameConstraints | 'unknown' | undefined
  /** Identifiers of all critical extensions. */
  readonly critical: ReadonlySet<string>
  /** Identifiers of critical extensions that we do not process. */
  readonly unknownCritical: readonly string[]
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }
type Draft = Mutable<Omit<Extensions, 'critical' | 'unknownCritical'>>

/**
 * Reads the content of the `extensions` field; undefined is a certificate without any.
 *
 * Every extension may stand once (RFC 5280 §4.2). Throws `DER_INVALID` or `CERTIFICATE_INVALID`.
 */
export function readExtensions(element: DerElement | undefined): Extensions {
  const draft: Draft = { ...NOTHING }
  const seen = new Set<string>()
  const critical = new Set<string>()
  const unknownCritical: string[] = []
  for (const extension of element === undefined ? [] : sequenceOf(element, 'extensions')) {
    const { id, isCritical, value } = readExtension(extension)
    if (seen.has(id)) throw invalid(`extension ${id} stands twice`)
    seen.add(id)
    if (isCritical) critical.add(id)
    const read = READERS.get(id)
    if (read !== undefined) read(draft, value)
    else if (isCritical) unknownCritical.push(id)
  }
  return { ...draft, critical, unknownCritical }
}

const NOTHING: Draft = {
  basicConstraints: undefined,
  keyUsage: undefined,
  extendedKeyUsage: undefined,
  uriSans: [],
  dnsSans: [],
  otherSans: 0,
  subjectKeyId: undefined,
  authorityKeyId: undefined,
  nameConstraints: undefined,
}

const READERS = new Map<string, (draft: Draft, value: DerElement) => void>([
  [
    EXTENSION.basicConstraints,
    (draft, value) => (draft.basicConstraints = basicConstraints(value)),
  ],
  [EXTENSION.keyUsage, (draft, value) => (draft.keyUsage = readNamedBits(value, 'key usage'))],
  [
    EXTENSION.extendedKeyUsage,
    (draft, value) => (draft.extendedKeyUsage = extendedKeyUsage(value)),
  ],
  [EXTENSION.subjectAltName, readSubjectAltName],
  [EXTENSION.nameConstraints, (draft, value) => (draft.nameConstraints = nameConstraints(value))],
  [EXTENSION.subjectKeyIdentifier, readSubjectKeyId],
  [EXTENSION.authorityKeyIdentifier, readAuthorityKeyId],
  // With any policy acceptable to us, policies alone refuse nothing (RFC 5280 §6.1.2 d); extensions that
  // would demand one (policyConstraints, inhibitAnyPolicy) are not known here and refuse when critical.
  [EXTENSION.certificatePolicies, () => undefined],
])

function readExtension(extension: DerElement): {
  id: string
  isCritical: boolean
  value: DerElement
} {
  const [id, second, third] = sequenceOf(extension, 'extension')
  const name = readOid(id, 'extension identifier')
  const hasFlag = second?.tag === TAG.boolean
  const isCritical = hasFlag && readBoolean(second, 'critical')
  const holder = expectTag(hasFlag ? third : second, TAG.octetString, `extension ${name}`)
  return { id: name, isCritical, value: readDer(contentOf(holder)) }
}

function basicConstraints(value: DerElement): NonNullable<Extensions['basicConstraints']> {
  const [first, second] = sequenceOf(value, 'basic constraints')
  // An explicit FALSE is not DER, but several issuers write it; Go reads it too.
  const hasFlag = first?.tag === TAG.boolean
  const isCa = hasFlag && readBoolean(first, 'cA')
  const length = hasFlag ? second : first
  if (length === undefined) return { isCa }
  return { isCa, pathLength: readSmallInteger(length, 'path length') }
}

function extendedKeyUsage(value: DerElement): string[] {
  return sequenceOf(value, 'extended key usage').map((usage) => readOid(usage, 'key purpose'))
}

function readSubjectAltName(draft: Draft, value: DerElement): void {
  const uris: string[] = []
  const dnsNames: string[] = []
  const names = sequenceOf(value, 'subject alternative name')
  for (const name of names) {
    if (name.tag === GENERAL_NAME.uri) uris.push(readAscii(name, 'URI name'))
    if (name.tag === GENERAL_NAME.dns) dnsNames.push(readAscii(name, 'DNS name'))
  }
  draft.uriSans = uris
  draft.dnsSans = dnsNames
  draft.otherSans = names.length - uris.length - dnsNames.length
}

function readSubjectKeyId(draft: Draft, value: DerElement): void {
  draft.subjectKeyId = readHex(expectTag(value, TAG.octetString, 'subject key identifier'))
}

function readAuthorityKeyId(draft: Draft, value: DerElement): void {
  const id = sequenceOf(value, 'authority key identifier').find(
    (member) => member.tag === contextTag(0, 'primitive'),
  )
  draft.authorityKeyId = id === undefined ? undefined : readHex(id)
}

function nameConstraints(value: DerElement): NameConstraints | 'unknown' {
  const permitted = new Map<ConstrainedKind, string[]>()
  const excluded = new Map<ConstrainedKind, string[]>()
  const members = sequenceOf(value, 'name constraints')
  if (members.length === 0) throw invalid('name constraints are empty')
  for (const member of members) {
    const into = SUBTREES.get(member.tag) === 'permitted' ? permitted : excluded
    if (!SUBTREES.has(member.tag)) return 'unknown'
    for (const subtree of childrenOf(member)) {
      const constraint = readSubtree(subtree)
      if (constraint === undefined) return 'unknown'
      into.set(constraint.kind, [...(into.get(constraint.kind) ?? []), constraint.name])
    }
  }
  return { permitted, excluded }
}

const SUBTREES = new Map([
  [contextTag(0, 'constructed'), 'permitted'],
  [contextTag(1, 'constructed'), 'excluded'],
])

/** One GeneralSubtree; a minimum or maximum is not for us to interpret (RFC 5280 §4.2.1.10). */
function readSubtree(subtree: DerElement): { kind: ConstrainedKind; name: string } | undefined {
  const [base, ...bounds] = sequenceOf(subtree, 'name constraint')
  if (base === undefined || bounds.length > 0) return undefined
  if (base.tag === GENERAL_NAME.dns) return { kind: 'dns', name: readAscii(base, 'DNS constraint') }
  if (base.tag === GENERAL_NAME.uri) return { kind: 'uri', name: readAscii(base, 'URI constraint') }
  return undefined
}

function invalid(what: string): ServiceError {
  return new ServiceError('CERTIFICATE_INVALID', `certificate: ${what}`)
}
