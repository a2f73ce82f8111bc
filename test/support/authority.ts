import { generateKeyPair, type KeyAlgorithm, type KeyPair } from '../../src/pki/key-pair.ts'
import { createIntermediate, createRoot, type X509Issuer } from '../../src/pki/ca-certificate.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'

/** A trust domain's root and an intermediate under it, as the service makes them. */
export interface TestAuthority {
  readonly trustDomain: TrustDomain
  readonly root: Uint8Array
  readonly rootKeys: KeyPair
  readonly intermediate: Uint8Array
  readonly issuer: X509Issuer
}

const DAY = 86_400_000

export function testAuthority(
  name: string,
  options: { readonly now?: Date; readonly algorithm?: KeyAlgorithm } = {},
): TestAuthority {
  const { now = new Date('2027-01-15T08:00:00Z'), algorithm = 'ES256' } = options
  const trustDomain = parseTrustDomain(name)
  const rootKeys = generateKeyPair(algorithm)
  const keys = generateKeyPair(algorithm)
  const notBefore = new Date(now.getTime() - 60_000)
  const root = createRoot({
    trustDomain,
    keys: rootKeys,
    notBefore,
    notAfter: new Date(now.getTime() + 365 * DAY),
  })
  const intermediate = createIntermediate({
    trustDomain,
    publicKey: keys.publicKey,
    issuer: { certificate: root, privateKey: rootKeys.privateKey },
    notBefore,
    notAfter: new Date(now.getTime() + 7 * DAY),
  })
  const issuer = { certificate: intermediate, privateKey: keys.privateKey }
  return { trustDomain, root, rootKeys, intermediate, issuer }
}
