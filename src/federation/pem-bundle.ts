import { certificateKey, readCertificate } from '../pki/certificate.ts'
import { publicJwk } from '../pki/key-pair.ts'
import { splitPem } from '../pki/pem.ts'
import { writeBundle } from '../spiffe/bundle.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'

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
