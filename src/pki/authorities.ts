import { messageOf } from '../errors.ts'
import {
  type Bundle,
  type JwtAuthority,
  type SkippedKey,
  summarise,
  type X509Authority,
} from '../spiffe/bundle.ts'
import { isSameJwk } from '../spiffe/jwk.ts'
import { type Certificate, certificateKey, readCertificate } from './certificate.ts'
import { KEY_USAGE } from './extensions.ts'
import { importPublicJwk, publicJwk } from './key-pair.ts'

/**
 * Drops the authorities that only cryptography can tell are none, one by one, and names them in `skipped`.
 *
 * Out go certificates that cannot be read or are no CA, JWKs that do not match their certificate, and points off
 * their curve (BU-13, X5-29). A missing or odd URI SAN and a certificate that is not self-signed stay in: being an
 * SVID and being self-signed are only recommended for authorities (X5-13, X5-30). For these `index` counts among
 * the authorities of one kind. Never throws for what a bundle holds.
 */
export function checkAuthorities(
  bundle: Bundle,
  skipped: readonly SkippedKey[] = [],
): { bundle: Bundle; skipped: SkippedKey[] } {
  const found: SkippedKey[] = []
  const keep = <T>(authorities: readonly T[], check: (authority: T) => string | undefined): T[] =>
    authorities.filter((authority, index) => {
      const reason = attempt(() => check(authority))
      if (reason !== undefined) found.push({ index, reason })
      return reason === undefined
    })
  const checked = {
    ...bundle,
    x509Authorities: keep(bundle.x509Authorities, findX509Fault),
    jwtAuthorities: keep(bundle.jwtAuthorities, findJwtFault),
  }
  return { bundle: checked, skipped: [...skipped, ...summarise(found)] }
}

function attempt(check: () => string | undefined): string | undefined {
  try {
    return check()
  } catch (thrown) {
    return messageOf(thrown)
  }
}

function findX509Fault({ certificate: der, jwk }: X509Authority): string | undefined {
  const certificate = readCertificate(der)
  const fault = findCaFault(certificate)
  if (fault !== undefined) return fault
  return isSameJwk(publicJwk(certificateKey(certificate)), jwk)
    ? undefined
    : 'x509-svid entry has a JWK that is not the key of its certificate'
}

function findCaFault({ isCa, keyUsage }: Certificate): string | undefined {
  if (!isCa) return 'x509-svid entry holds a certificate that is no CA'
  if (keyUsage === undefined || (keyUsage & KEY_USAGE.keyCertSign) !== 0) return undefined
  return 'x509-svid entry holds a certificate that may not sign certificates'
}

function findJwtFault({ jwk }: JwtAuthority): string | undefined {
  importPublicJwk(jwk)
  return undefined
}
