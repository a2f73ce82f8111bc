import { readCertificate } from '../pki/certificate.ts'
import { importPublicJwk, publicKeySha256, spkiOf } from '../pki/key-pair.ts'
import { type Bundle } from '../spiffe/bundle.ts'

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
  const certificates = bundle.x509Authorities.map(({ certificate }) => {
    const { spki, notAfter } = readCertificate(certificate)
    return { kind: 'x509' as const, publicKeySha256: hexSha256(spki), kid: undefined, notAfter }
  })
  const keys = bundle.jwtAuthorities.map(({ kid, jwk }) => ({
    kind: 'jwt' as const,
    publicKeySha256: hexSha256(spkiOf(importPublicJwk(jwk))),
    kid,
    notAfter: undefined,
  }))
  return [...certificates, ...keys]
}

function hexSha256(spki: Uint8Array): string {
  return Buffer.from(publicKeySha256(spki)).toString('hex')
}
