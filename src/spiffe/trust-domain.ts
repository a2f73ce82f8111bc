import { quoted, ServiceError } from '../errors.ts'

/** A trust domain name that passed {@link parseTrustDomain}: raw bytes, never folded or decoded. */
export type TrustDomain = string & { readonly __brand: 'TrustDomain' }

/** Longest trust domain name in bytes (SPIFFE-ID §2.3, ID-11). */
export const MAX_TRUST_DOMAIN_BYTES = 255

// The class as SPIFFE-ID §2.1 means it; as printed there, ".-_" would be a range (ID-06).
const FOREIGN_CHARACTER = /[^a-z0-9._-]/

/** Why a text is no trust domain name, or undefined when it is one (SPIFFE-ID §2.1, ID-04 to ID-11). */
export function trustDomainFault(text: string): string | undefined {
  if (text === '') return 'is empty'
  if (text.length > MAX_TRUST_DOMAIN_BYTES) {
    return `has ${text.length} characters, at most ${MAX_TRUST_DOMAIN_BYTES} are allowed`
  }
  const foreign = FOREIGN_CHARACTER.exec(text)
  if (foreign === null) return undefined
  return `contains ${quoted(foreign[0])}, wanted only a-z, 0-9, ".", "-" and "_"`
}

/**
 * Reads a trust domain name such as `acme.example`; every rule applies to the raw text.
 *
 * No host name or IP address rule applies, so `127.0.0.1`, `a_b`, `..` and `__proto__` are names too: keep
 * them in a `Map` (SPIFFE-ID §2.1, ID-09, ID-10). Throws `TRUST_DOMAIN_INVALID`.
 */
export function parseTrustDomain(text: string): TrustDomain {
  if (isTrustDomain(text)) return text
  const message = `trust domain ${quoted(text)} ${trustDomainFault(text)}`
  throw new ServiceError('TRUST_DOMAIN_INVALID', message, remedyOf(text))
}

function isTrustDomain(text: string): text is TrustDomain {
  return trustDomainFault(text) === undefined
}

function remedyOf(text: string): { next?: string } {
  const bare = text.replace(/^spiffe:\/\//i, '').replace(/\/+$/, '')
  const candidate = bare.toLowerCase()
  if (candidate === text || trustDomainFault(candidate) !== undefined) return {}
  return { next: `did you mean "${candidate}"?` }
}
