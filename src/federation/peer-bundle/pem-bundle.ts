import { ServiceError } from '../../errors.ts'
import { certificateKey, readCertificate } from '../../pki/certificate.ts'
import { publicJwk } from '../../pki/key-pair.ts'
import { splitPem } from '../../pki/pem.ts'
import { writeBundle } from '../../spiffe/bundle.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** A bundle given by hand, in one of two forms. */
export interface GivenBundle {
  /** Text of a SPIFFE bundle. */
  readonly bundle?: string | undefined
  /** X.509 authorities as PEM certificates. */
  readonly bundlePem?: string | undefined
}

/**
 * The document of a bundle given by hand; of PEM that is our canonical one. Undefined when none was given.
 *
 * Throws RELATIONSHIP_INVALID when both forms were, CERTIFICATE_INVALID as {@link bundleOfPem} does.
 */
export function givenDocument(
  trustDomain: TrustDomain,
  { bundle, bundlePem }: GivenBundle,
): Uint8Array | undefined {
  if (bundlePem === undefined) {
    return bundle === undefined ? undefined : new TextEncoder().encode(bundle)
  }
  if (bundle === undefined) return bundleOfPem(trustDomain, bundlePem)
  throw new ServiceError(
    'RELATIONSHIP_INVALID',
    'a SPIFFE bundle and bundlePem are two forms of one thing; give one',
  )
}

/**
 * The certificates of a PEM text as a SPIFFE bundle document: X.509 authorities only, no sequence and no hint.
 *
 * For peers whose authorities come as PEM. The document is judged like any other afterwards. Throws
 * CERTIFICATE_INVALID when the text has no certificate, or one that cannot be read.
 */
export function bundleOfPem(trustDomain: TrustDomain, pem: string): Uint8Array {
  return writeBundle({
    trustDomain,
    sequence: undefined,
    refreshHintSeconds: undefined,
    x509Authorities: splitPem(pem).map((certificate) => ({
      certificate,
      jwk: publicJwk(certificateKey(readCertificate(certificate))),
    })),
    jwtAuthorities: [],
  })
}
