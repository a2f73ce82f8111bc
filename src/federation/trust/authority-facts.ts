import { X509Certificate } from 'node:crypto'
import { fingerprintOf, readCertificate } from '../../pki/certificate.ts'
import { importPublicJwk, publicKeySha256, spkiOf } from '../../pki/key-pair.ts'
import { type Bundle, type JwtAuthority, type X509Authority } from '../../spiffe/bundle.ts'

/** One authority as people look at it; hex is lower-case. */
export interface AuthorityFacts {
  readonly kind: 'x509' | 'jwt'
  /** SHA-256 of the SubjectPublicKeyInfo: the same in a renewed certificate. */
  readonly publicKeySha256: string
  /** SHA-256 of the certificate; JWT authorities have none, nor the three below. */
  readonly certificateSha256: string | undefined
  /** As the certificate claims it; a text of the peer's, made harmless. */
  readonly subject: string | undefined
  readonly notBefore: Date | undefined
  readonly notAfter: Date | undefined
  /** The ID of a JWT key; a text of the peer's, made harmless. */
  readonly kid: string | undefined
}

/** Longest subject or kid that is shown. */
const MAX_SHOWN = 200

/** The authorities of a bundle, X.509 first; throws what an authority that was not checked would. */
export function factsOf({ x509Authorities, jwtAuthorities }: Bundle): AuthorityFacts[] {
  return [...x509Authorities.map(x509Facts), ...jwtAuthorities.map(jwtFacts)]
}

/** One name for exactly this authority within a bundle: certificate, or kid and key. */
export function exactNameOf(
  facts: Pick<AuthorityFacts, 'kind' | 'publicKeySha256' | 'certificateSha256' | 'kid'>,
): string {
  return facts.kind === 'x509'
    ? `x509 ${facts.certificateSha256}`
    : `jwt ${facts.publicKeySha256} ${facts.kid}`
}

function x509Facts({ certificate }: X509Authority): AuthorityFacts {
  const { spki, notBefore, notAfter } = readCertificate(certificate)
  return {
    kind: 'x509',
    publicKeySha256: hexOf(publicKeySha256(spki)),
    certificateSha256: fingerprintOf(certificate),
    subject: subjectOf(certificate),
    notBefore,
    notAfter,
    kid: undefined,
  }
}

function jwtFacts({ kid, jwk }: JwtAuthority): AuthorityFacts {
  return {
    kind: 'jwt',
    publicKeySha256: hexOf(publicKeySha256(spkiOf(importPublicJwk(jwk)))),
    certificateSha256: undefined,
    subject: undefined,
    notBefore: undefined,
    notAfter: undefined,
    kid: shown(kid),
  }
}

function subjectOf(certificate: Uint8Array): string {
  try {
    return shown(new X509Certificate(certificate).subject?.replaceAll('\n', ', ') ?? '')
  } catch {
    return ''
  }
}

// Control and direction characters could make a terminal or a log show something else.
function shown(text: string): string {
  return text.slice(0, MAX_SHOWN).toWellFormed().replaceAll(/\p{C}/gu, '?')
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
