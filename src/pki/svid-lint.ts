import { isReserved, pathOf, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { type Certificate, type TbsFacts } from './certificate.ts'
import { dnsNameFault, MAX_DNS_NAMES } from './dns-name.ts'
import { EXTENDED_KEY_USAGE, EXTENSION, KEY_USAGE } from './extensions.ts'

/** Longest life of a workload's X509-SVID, in seconds: a day. */
export const MAX_X509_TTL_SECONDS = 24 * 3600

/** Seconds that an SVID's beginning lies back, so that a verifier with a slow clock takes it at once. */
export const BACKDATE_SECONDS = 30

/** Whose identity it is: a workload's, or one of our own listeners under `/entente`. */
export type SvidPurpose = 'workload' | 'endpoint'

/** What was asked for, beside what the octets to be signed say. */
export interface LintSubject {
  readonly facts: TbsFacts
  readonly wanted: {
    readonly id: SpiffeId
    readonly publicKey: Uint8Array
    readonly subjectKeyId: string
    readonly dnsNames: readonly string[]
    readonly notBefore: Date
    readonly notAfter: Date
    readonly purpose: SvidPurpose
  }
  readonly issuer: Certificate
  readonly issuerKeyId: string
}

/** One rule: what it is (with its conformance item) and whether it holds. */
export interface Lint {
  readonly rule: string
  readonly holds: (subject: LintSubject) => boolean
}

/** All that must hold of the octets of an X509-SVID before they may be signed. */
export const X509_SVID_LINTS: readonly Lint[] = [
  {
    rule: 'X5-01 exactly one URI SAN, equal to the SPIFFE ID',
    holds: ({ facts, wanted }) => facts.uriSans.length === 1 && facts.uriSans[0] === wanted.id,
  },
  {
    rule: 'X5-01 the DNS names of the entry and no other kind of name',
    holds: ({ facts, wanted }) =>
      facts.otherSans === 0 && isSame(facts.dnsSans, wanted.dnsNames) && areDnsNames(facts.dnsSans),
  },
  { rule: 'X5-02 an ID with a path', holds: ({ wanted }) => pathOf(wanted.id) !== '' },
  {
    rule: 'paths under /entente for endpoints of this service, and only for them',
    holds: ({ wanted }) => isReserved(wanted.id) === (wanted.purpose === 'endpoint'),
  },
  {
    rule: 'X5-03 an empty subject and therefore a critical SAN',
    holds: ({ facts }) => !facts.hasSubject && facts.critical.has(EXTENSION.subjectAltName),
  },
  {
    rule: 'X5-04 basic constraints with cA false and no path length',
    holds: ({ facts }) =>
      facts.basicConstraints?.isCa === false && facts.basicConstraints.pathLength === undefined,
  },
  {
    rule: 'X5-05 X5-06 X5-07 a critical key usage of digitalSignature alone',
    holds: ({ facts }) =>
      facts.keyUsage === KEY_USAGE.digitalSignature && facts.critical.has(EXTENSION.keyUsage),
  },
  {
    rule: 'X5-08 X5-09 extended key usage of serverAuth and clientAuth',
    holds: ({ facts }) =>
      facts.extendedKeyUsage !== undefined &&
      isSame(facts.extendedKeyUsage, Object.values(EXTENDED_KEY_USAGE)),
  },
  {
    rule: 'X5-15 ID-22 an ID in the trust domain of the issuer',
    holds: ({ wanted, issuer }) => isSame(issuer.uriSans, [`spiffe://${trustDomainOf(wanted.id)}`]),
  },
  {
    rule: 'version 3, no name constraints and no critical extension that we do not know',
    holds: ({ facts }) =>
      facts.version === 3 &&
      facts.nameConstraints === undefined &&
      facts.unknownCritical.length === 0,
  },
  {
    rule: 'a positive serial number of at least 128 bits',
    holds: ({ facts }) => facts.serial.length >= 32 && facts.serial.length <= 40,
  },
  {
    rule: 'the name, key and algorithm of the issuer',
    holds: ({ facts, issuer, issuerKeyId }) =>
      facts.issuer.equals(issuer.subject) && facts.authorityKeyId === issuerKeyId,
  },
  {
    rule: 'the key of the request and its identifier',
    holds: ({ facts, wanted }) =>
      facts.spki.equals(wanted.publicKey) && facts.subjectKeyId === wanted.subjectKeyId,
  },
  {
    rule: 'the times asked for, to whole seconds',
    holds: ({ facts, wanted }) =>
      seconds(facts.notBefore) === seconds(wanted.notBefore) &&
      seconds(facts.notAfter) === seconds(wanted.notAfter),
  },
  {
    rule: `a life of more than nothing and at most ${MAX_X509_TTL_SECONDS} seconds`,
    holds: ({ facts }) => {
      const life = seconds(facts.notAfter) - seconds(facts.notBefore)
      return life > 0 && life <= MAX_X509_TTL_SECONDS + BACKDATE_SECONDS
    },
  },
  {
    rule: 'an end not after that of the issuer',
    holds: ({ facts, issuer }) => facts.notAfter <= issuer.notAfter,
  },
]

/** The first rule that does not hold, or undefined when all do. */
export function findLintFault(subject: LintSubject): string | undefined {
  return X509_SVID_LINTS.find((lint) => !lint.holds(subject))?.rule
}

function seconds(moment: Date): number {
  return Math.floor(moment.getTime() / 1000)
}

function isSame(found: readonly string[], wanted: readonly string[]): boolean {
  return found.length === wanted.length && found.every((item, index) => item === wanted[index])
}

function areDnsNames(names: readonly string[]): boolean {
  return (
    names.length <= MAX_DNS_NAMES &&
    new Set(names).size === names.length &&
    names.every((name) => dnsNameFault(name) === undefined)
  )
}
