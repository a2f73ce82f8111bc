import { readCertificate } from '../../pki/certificate.ts'
import { type Bundle } from '../../spiffe/bundle.ts'
import { jwtKeyDigest, x509KeyDigest } from './effective-bundle.ts'

/** One authority of a peer as two people compare it. */
export interface AuthorityFingerprint {
  readonly kind: 'x509' | 'jwt'
  /** SHA-256 of the public key (SubjectPublicKeyInfo), hex: the same in a renewed certificate. */
  readonly publicKeySha256: string
  /** The ID of a JWT key. */
  readonly kid: string | undefined
  /** End of the certificate; JWT authorities have none. */
  readonly notAfter: Date | undefined
}

/** The authorities of a bundle by the fingerprints of their public keys. */
export function fingerprintsOf(bundle: Bundle): AuthorityFingerprint[] {
  const certificates = bundle.x509Authorities.map((authority) => ({
    kind: 'x509' as const,
    publicKeySha256: x509KeyDigest(authority),
    kid: undefined,
    notAfter: readCertificate(authority.certificate).notAfter,
  }))
  const keys = bundle.jwtAuthorities.map((authority) => ({
    kind: 'jwt' as const,
    publicKeySha256: jwtKeyDigest(authority),
    kid: authority.kid,
    notAfter: undefined,
  }))
  return [...certificates, ...keys]
}
