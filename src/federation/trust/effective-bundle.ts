import { importPublicJwk, publicKeySha256, spkiOf } from '../../pki/key-pair.ts'
import { readCertificate } from '../../pki/certificate.ts'
import { type Bundle, type JwtAuthority, type X509Authority } from '../../spiffe/bundle.ts'

/** SHA-256 of DER SubjectPublicKeyInfos, lower-case hex; `own` are those among them that are the mesh's own. */
export type KeyDigests = ReadonlySet<string> & { readonly own?: ReadonlySet<string> }

/**
 * A bundle without the authorities whose public key is distrusted or our own, X.509 and JWT alike; in whatever certificate
 * or under whatever `kid` a key comes back, it is out. Pure.
 *
 * The one door to what a mesh trusts of a peer: workloads, the relay, the proof of endpoints and our own
 * validation of peers' tokens all get their authorities through it.
 */
export function effectiveBundle(bundle: Bundle, distrusted: KeyDigests): Bundle {
  if (distrusted.size === 0) return bundle
  const x509Authorities = bundle.x509Authorities.filter(
    (authority) => !distrusted.has(x509KeyDigest(authority)),
  )
  const jwtAuthorities = bundle.jwtAuthorities.filter(
    (authority) => !distrusted.has(jwtKeyDigest(authority)),
  )
  return { ...bundle, x509Authorities, jwtAuthorities }
}

/** SHA-256, hex, of an X.509 authority's public key; throws CERTIFICATE_INVALID. */
export function x509KeyDigest({ certificate }: Pick<X509Authority, 'certificate'>): string {
  const known = knownDigests.get(certificate)
  if (known !== undefined) return known
  const digest = digestOf(readCertificate(certificate).spki)
  knownDigests.set(certificate, digest)
  return digest
}

// Every fetch asks about its anchors, which stay the same objects for as long as the bundle is in use.
const knownDigests = new WeakMap<Uint8Array, string>()

/** SHA-256, hex, of a JWT authority's public key; throws KEY_INVALID. */
export function jwtKeyDigest({ jwk }: Pick<JwtAuthority, 'jwk'>): string {
  return digestOf(spkiOf(importPublicJwk(jwk)))
}

/** The distrusted keys that stand in a bundle, each once. */
export function distrustedIn(bundle: Bundle, distrusted: KeyDigests): string[] {
  if (distrusted.size === 0) return []
  const found = [
    ...bundle.x509Authorities.map(x509KeyDigest),
    ...bundle.jwtAuthorities.map(jwtKeyDigest),
  ]
  return [...new Set(found)].filter((digest) => distrusted.has(digest))
}

/** What a revision says of the distrusted keys in it: they are stored and not used. */
export function distrustWarnings(bundle: Bundle, distrusted: KeyDigests): string[] {
  return distrustedIn(bundle, distrusted).map(
    (digest) =>
      `bundle of ${bundle.trustDomain} has an authority with ${distrusted.own?.has(digest) === true ? 'our own key' : 'the distrusted key'} sha256:${digest}, which is not used`,
  )
}

function digestOf(spki: Uint8Array): string {
  return Buffer.from(publicKeySha256(spki)).toString('hex')
}
