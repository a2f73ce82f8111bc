import { X509Certificate } from 'node:crypto'
import { fingerprintOf, readCertificate } from '../pki/certificate.ts'
import { type Bundle } from '../spiffe/bundle.ts'
import { jwtKeyDigest, x509KeyDigest } from './effective-bundle.ts'

/** One authority of a bundle as people know it. */
export interface NamedAuthority {
  readonly kind: 'x509' | 'jwt'
  /** The certificate's subject, or the key's `kid`; at most 200 characters. */
  readonly name: string
  /** SHA-256 of the public key, hex: the same in a renewed certificate. */
  readonly keyDigest: string
  /** SHA-256 of the certificate, hex; JWT authorities have none. */
  readonly certificateDigest: string | undefined
  readonly notBefore: Date | undefined
  readonly notAfter: Date | undefined
}

const MAX_NAME = 200

/** The authorities of a bundle, X.509 first. */
export function namedAuthorities(bundle: Bundle): NamedAuthority[] {
  const x509 = bundle.x509Authorities.map(({ certificate }) => {
    const { notBefore, notAfter } = readCertificate(certificate)
    return {
      kind: 'x509' as const,
      name: subjectOf(certificate),
      keyDigest: x509KeyDigest({ certificate }),
      certificateDigest: fingerprintOf(certificate),
      notBefore,
      notAfter,
    }
  })
  const jwt = bundle.jwtAuthorities.map((authority) => ({
    kind: 'jwt' as const,
    name: authority.kid.slice(0, MAX_NAME),
    keyDigest: jwtKeyDigest(authority),
    certificateDigest: undefined,
    notBefore: undefined,
    notAfter: undefined,
  }))
  return [...x509, ...jwt]
}

function subjectOf(certificate: Uint8Array): string {
  const { subject } = new X509Certificate(certificate)
  return subject === undefined ? '(no subject)' : subject.split('\n').join(', ').slice(0, MAX_NAME)
}
