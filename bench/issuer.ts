import { addSeconds, wholeSeconds } from '../src/clock.ts'
import { createIntermediate, createRoot } from '../src/pki/ca-certificate.ts'
import { generateKeyPair } from '../src/pki/key-pair.ts'
import { type X509Issuer } from '../src/pki/x509-svid.ts'
import { parseTrustDomain } from '../src/spiffe/trust-domain.ts'

/** A root and an intermediate under it, as the service makes them. */
export interface BenchIssuer {
  readonly root: X509Issuer
  readonly intermediate: X509Issuer
}

/** Makes a root and an intermediate of a trust domain that live for a day. */
export function makeIssuer(name: string, now: Date): BenchIssuer {
  const trustDomain = parseTrustDomain(name)
  const notBefore = addSeconds(wholeSeconds(now), -60)
  const rootKeys = generateKeyPair()
  const root = {
    certificate: createRoot({
      trustDomain,
      keys: rootKeys,
      notBefore,
      notAfter: addSeconds(notBefore, 172_800),
    }),
    privateKey: rootKeys.privateKey,
  }
  const keys = generateKeyPair()
  const certificate = createIntermediate({
    trustDomain,
    publicKey: keys.publicKey,
    issuer: root,
    notBefore,
    notAfter: addSeconds(notBefore, 86_400),
  })
  return { root, intermediate: { certificate, privateKey: keys.privateKey } }
}
