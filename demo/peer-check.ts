import { type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { type VerifiedX509Svid, verifyX509Svid } from '../src/pki/verify-chain.ts'
import { type Bundle } from '../src/spiffe/bundle.ts'
import { type TrustDomain } from '../src/spiffe/trust-domain.ts'

/** The bundles that a workload holds, one per trust domain and never pooled. */
export type Bundles = ReadonlyMap<TrustDomain, Bundle>

/**
 * Who stands at the other end of a TLS connection: its chain, checked against the bundle of the trust domain
 * that its SPIFFE ID names and against no other. Throws when it proves nothing.
 */
export function checkPeer(socket: TLSSocket, bundles: Bundles): VerifiedX509Svid {
  return verifyX509Svid(chainOf(socket), {
    anchorsOf: (trustDomain) =>
      bundles.get(trustDomain)?.x509Authorities.map(({ certificate }) => certificate),
    now: new Date(),
  })
}

function chainOf(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = []
  const seen = new Set<string>()
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (certificate?.raw !== undefined && !seen.has(certificate.fingerprint256)) {
    seen.add(certificate.fingerprint256)
    chain.push(certificate.raw)
    certificate = certificate.issuerCertificate
  }
  return chain
}
