import {
  type MissingBundle,
  type PeerBundle,
  type PeerBundles,
} from '../federation/peer-bundles.ts'
import { type Entry, mayMeet } from '../registry/entry.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'

/** The peers' bundles that an identity is given, one per trust domain, and those that it would be given. */
export interface FederatedBundles {
  readonly bundles: readonly PeerBundle[]
  readonly missing: readonly { readonly trustDomain: TrustDomain; readonly reason: string }[]
}

/**
 * The bundles of the federated domains that this identity may meet.
 *
 * A missing one never holds up an SVID: it is named with the reason, also when the entry names a domain with
 * which there is no relationship.
 */
export async function federatedBundlesOf(
  peers: Pick<PeerBundles, 'of' | 'missing'>,
  entry: Entry,
): Promise<FederatedBundles> {
  const known = await peers.of(entry.meshId)
  const waiting: readonly MissingBundle[] = await peers.missing(entry.meshId)
  const missing = waiting
    .filter(({ trustDomain }) => mayMeet(entry, trustDomain))
    .map(({ trustDomain, reason }) => ({ trustDomain, reason }))
  const named = typeof entry.federatesWith === 'string' ? [] : entry.federatesWith
  const accounted = new Set([...known.keys(), ...missing.map(({ trustDomain }) => trustDomain)])
  const strangers = named
    .filter((trustDomain) => !accounted.has(trustDomain) && trustDomain !== entry.trustDomain)
    .map((trustDomain) => ({ trustDomain, reason: 'there is no relationship with this domain' }))
  return {
    bundles: [...known.values()].filter(({ trustDomain }) => mayMeet(entry, trustDomain)),
    missing: [...missing, ...strangers],
  }
}
