import { createHash } from 'node:crypto'
import { readCertificate } from '../../pki/certificate.ts'
import { publicKeySha256 } from '../../pki/key-pair.ts'
import { type Bundle } from '../../spiffe/bundle.ts'

const GROUPS = 8
const DIGITS = 5
const MODULUS = 10n ** BigInt(GROUPS * DIGITS)

/**
 * The fingerprint of a bundle that two people compare aloud: eight groups of five digits.
 *
 * SHA-256 over the name of the trust domain and the sorted SHA-256 digests of the public keys of its X.509
 * authorities, modulo 10^40: 132 bits. Whoever wants to pass for a domain needs keys of his own with the same
 * fingerprint as its true ones, a second preimage, for which 100 bits would do. Certificates may be renewed on the same key, and their order
 * may change, without changing it; JWT keys are not in it, since they come over connections that the X.509 authorities
 * prove. Digits sound the same in every language.
 */
export function bundleFingerprint({
  trustDomain,
  x509Authorities,
}: Pick<Bundle, 'trustDomain' | 'x509Authorities'>): string {
  const digests = x509Authorities
    .map(({ certificate }) => Buffer.from(publicKeySha256(readCertificate(certificate).spki)))
    .toSorted((one, other) => Buffer.compare(one, other))
  const unique = digests.filter((digest, index) => digests[index - 1]?.equals(digest) !== true)
  const hash = createHash('sha256').update(`entente-fingerprint-v1\0${trustDomain}\0`)
  for (const digest of unique) hash.update(digest)
  const number = BigInt(`0x${hash.digest('hex')}`) % MODULUS
  const digits = number.toString().padStart(GROUPS * DIGITS, '0')
  return (digits.match(/.{5}/g) ?? []).join(' ')
}

/** The same fingerprint however its groups are set apart; undefined for what is none. */
export function parseFingerprint(text: string): string | undefined {
  const digits = text.replaceAll(/[\s-]/g, '')
  return /^[0-9]{40}$/.test(digits) ? (digits.match(/.{5}/g) ?? []).join(' ') : undefined
}
