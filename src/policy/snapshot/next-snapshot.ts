import { ShardedMap } from './sharded-map.ts'
import { buildRuleIndex, changeRuleIndex } from './build-rule-index.ts'
import { type Rule } from '../rule/rule.ts'
import {
  meshPart,
  offersByPeer,
  type PeersInput,
  peersPart,
  type Revisions,
  type Snapshot,
  type SnapshotInput,
  type SnapshotOffer,
  type SnapshotService,
  sumOf,
} from './snapshot.ts'

/** Objects by key as they are now; `undefined` = gone. */
export type Changed<T> = ReadonlyMap<string, T | undefined>

/** What changed since a snapshot, as read at one moment; what is left out stayed as it was. */
export interface SnapshotChanges {
  readonly revisions: Revisions
  readonly mesh?: Pick<SnapshotInput, 'dnsSuffix' | 'trustDomains'>
  readonly peers?: PeersInput
  readonly services: Changed<SnapshotService>
  /** By relationship, then by name. */
  readonly offers: ReadonlyMap<string, Changed<SnapshotOffer>> | readonly SnapshotOffer[]
  /** By id; a list = all that there are, since peers or groups that rules name went or changed names. */
  readonly rules: Changed<Rule> | readonly Rule[]
}

/**
 * The snapshot after some changes, which shares with the one before it all that did not change.
 *
 * The one before stays as it was and can go on answering. Equal to building a snapshot of everything as it is now.
 */
export function nextSnapshot(previous: Snapshot, changes: SnapshotChanges): Snapshot {
  const { revisions, mesh, peers, services, offers, rules } = changes
  return {
    ...previous,
    revisions,
    revision: sumOf(revisions),
    ...(mesh && meshPart(mesh)),
    ...(peers && peersPart(peers)),
    services: previous.services.with(services),
    offers: isList(offers) ? offersByPeer(offers) : nextOffers(previous.offers, offers),
    rules: isList(rules) ? buildRuleIndex(rules) : changeRuleIndex(previous.rules, rules),
  }
}

function nextOffers(
  previous: Snapshot['offers'],
  changes: ReadonlyMap<string, Changed<SnapshotOffer>>,
): Snapshot['offers'] {
  if (changes.size === 0) return previous
  const next = new Map(previous)
  for (const [peer, offers] of changes) {
    const after = (previous.get(peer) ?? ShardedMap.of<SnapshotOffer>([])).with(offers)
    if (after.size === 0) next.delete(peer)
    else next.set(peer, after)
  }
  return next
}

function isList<T>(value: readonly T[] | ReadonlyMap<string, unknown>): value is readonly T[] {
  return Array.isArray(value)
}
