import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Bundle, parseBundle, type SkippedKey } from '../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

/** A member of a JWK or bundle as a test writes it. */
export type Members = Record<string, unknown>

const exampleText = readFileSync(new URL('../vectors/bundle-mesh-a.json', import.meta.url), 'utf8')

/** The worked example of a bundle: one X.509 anchor, one JWT key and one WIT key. */
export const example: { spiffe_sequence: number; spiffe_refresh_hint: number; keys: Members[] } =
  JSON.parse(exampleText)

/** The trust domain of {@link example}. */
export const meshA = parseTrustDomain('mesh-a.example')

/** One key of {@link example} by its use, with members replaced, or left out when undefined. */
export function exampleKey(
  use: 'x509-svid' | 'jwt-svid' | 'wit-svid',
  change: Members = {},
): Members {
  const key = example.keys.find((candidate) => candidate['use'] === use)
  return { ...key, ...change }
}

/** A fresh public JWK of this EC curve. */
export function ecJwk(namedCurve = 'P-256'): Members {
  return { ...generateKeyPairSync('ec', { namedCurve }).publicKey.export({ format: 'jwk' }) }
}

/** A fresh public RSA JWK. */
export function rsaJwk(modulusLength = 2048): Members {
  return { ...generateKeyPairSync('rsa', { modulusLength }).publicKey.export({ format: 'jwk' }) }
}

/** Parses a document given as text or as members, as the bundle of `mesh-a.example`. */
export function parsed(document: string | object): { bundle: Bundle; skipped: SkippedKey[] } {
  const text = typeof document === 'string' ? document : JSON.stringify(document)
  return parseBundle(meshA, new TextEncoder().encode(text))
}
