import {
  type MissingBundle,
  type PeerBundle,
  type PeerBundles,
} from '../federation/peer-bundle/peer-bundles.ts'
import { type Entry, groupOf, namedDomains } from '../registry/entry.ts'
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
  peers: Pick<PeerBundles, 'of' | 'missing' | 'groups'>,
  entry: Entry,
): Promise<FederatedBundles> {
  const known = await peers.of(entry.meshId)
  const waiting: readonly MissingBundle[] = await peers.missing(entry.meshId)
  const mayMeet = meetingOf(entry, await peers.groups(entry.meshId))
  const missing = waiting
    .filter(({ trustDomain }) => mayMeet(trustDomain))
    .map(({ trustDomain, reason }) => ({ trustDomain, reason }))
  const named = namedDomains(entry) ?? []
  const accounted = new Set([...known.keys(), ...missing.map(({ trustDomain }) => trustDomain)])
  const strangers = named
    .filter((trustDomain) => !accounted.has(trustDomain) && trustDomain !== entry.trustDomain)
    .map((trustDomain) => ({ trustDomain, reason: 'there is no relationship with this domain' }))
  return {
    bundles: [...known.values()].filter(({ trustDomain }) => mayMeet(trustDomain)),
    missing: [...missing, ...strangers],
  }
}

/** Whether the identity of an entry may meet workloads of a domain; a group that is gone has no members. */
function meetingOf(
  entry: Entry,
  groups: ReadonlyMap<string, ReadonlySet<TrustDomain>>,
): (trustDomain: TrustDomain) => boolean {
  if (entry.federatesWith === 'all') return () => true
  const group = groupOf(entry)
  const members = group === undefined ? new Set(namedDomains(entry)) : groups.get(group)
  return (trustDomain) => members?.has(trustDomain) === true
}
