import { type Bundle } from '../../spiffe/bundle.ts'
import { type AuthorityFacts, exactNameOf, factsOf } from './authority-facts.ts'

/** An authority that only one of two bundles has. */
export interface ChangedAuthority extends AuthorityFacts {
  /** Whether the other bundle has its public key too: a renewed certificate, or a key under another kid. */
  readonly isSameKey: boolean
}

/** Two bundles by authority. */
export interface BundleComparison {
  readonly added: readonly ChangedAuthority[]
  readonly removed: readonly ChangedAuthority[]
  readonly kept: readonly AuthorityFacts[]
}

/** Compares two bundles by authority, exactly: certificate, or kid and key. An absent one has none. */
export function compareBundles(from: Bundle | undefined, to: Bundle | undefined): BundleComparison {
  const before = from === undefined ? [] : factsOf(from)
  const after = to === undefined ? [] : factsOf(to)
  const known = new Set(before.map(exactNameOf))
  return {
    added: onlyIn(after, before),
    removed: onlyIn(before, after),
    kept: after.filter((authority) => known.has(exactNameOf(authority))),
  }
}

function onlyIn(
  authorities: readonly AuthorityFacts[],
  others: readonly AuthorityFacts[],
): ChangedAuthority[] {
  const names = new Set(others.map(exactNameOf))
  const keys = new Set(others.map(keyOf))
  return authorities
    .filter((authority) => !names.has(exactNameOf(authority)))
    .map((authority) => ({ ...authority, isSameKey: keys.has(keyOf(authority)) }))
}

function keyOf({ kind, publicKeySha256 }: AuthorityFacts): string {
  return `${kind} ${publicKeySha256}`
}
