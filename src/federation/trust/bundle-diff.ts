import { fingerprintOf } from '../../pki/certificate.ts'
import { type Bundle } from '../../spiffe/bundle.ts'

/** Which authorities a bundle gained, lost and kept, named as people compare them. */
export interface BundleDiff {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly kept: number
}

/** Authorities named one by one in a diff; a last line tells how many more there are. */
export const MAX_NAMED = 50

/**
 * Compares two bundles by authority: `x509 sha256:<certificate>` and `jwt <kid>`; two JWT keys under one kid differ.
 */
export function diffBundles(before: Bundle | undefined, after: Bundle): BundleDiff {
  const old = before === undefined ? new Map<string, string>() : authoritiesOf(before)
  const now = authoritiesOf(after)
  const added = [...now].filter(([key]) => !old.has(key)).map(([, name]) => name)
  const removed = [...old].filter(([key]) => !now.has(key)).map(([, name]) => name)
  return { added: shortened(added), removed: shortened(removed), kept: now.size - added.length }
}

function authoritiesOf(bundle: Bundle): Map<string, string> {
  const named = new Map<string, string>()
  for (const { certificate } of bundle.x509Authorities) {
    const name = `x509 sha256:${fingerprintOf(certificate)}`
    named.set(name, name)
  }
  for (const { kid, jwk } of bundle.jwtAuthorities) {
    named.set(`jwt ${kid} ${JSON.stringify(jwk)}`, `jwt ${kid.slice(0, 100)}`)
  }
  return named
}

function shortened(names: readonly string[]): string[] {
  if (names.length <= MAX_NAMED) return [...names]
  return [...names.slice(0, MAX_NAMED), `and ${names.length - MAX_NAMED} more`]
}
