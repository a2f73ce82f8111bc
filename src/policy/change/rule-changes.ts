import { type ChangeKind } from '../../federation/group/peer-changes-api.ts'
import { openRules } from '../decision/judge.ts'
import { openHalfOf, type Parties } from '../decision/scene.ts'
import { isShown } from '../binding/bindings.ts'
import { serviceKey, type Snapshot, type SnapshotService } from '../snapshot/snapshot.ts'
import { type Terms, termsOf } from '../decision/terms.ts'
import { type Applicable, callChanges } from './call-changes.ts'
import { identityChanges } from './identity-changes.ts'
import { narrowingOf } from './narrowing.ts'
import {
  type Around,
  type PeerChanges,
  type RuleChangeItem,
  type RuleChanges,
  type Touched,
  type TouchedPeer,
} from './rule-change.ts'
import { audienceOf, peerTitle, sceneWith } from '../decision/rule-reach.ts'
import {
  MAX_PAIRS,
  type Seen,
  servicesIn,
  type Sight,
  sightOf,
  subjectsAmong,
  visitInTurns,
} from './rule-sight.ts'
import { DIRECTIONS, type Rule } from '../rule/rule.ts'

/** Items that an answer names for one peer. */
const MAX_ITEMS = 20

/** A rule before and after its change; one of them is undefined when it is made or deleted. */
export interface ChangeOfRule {
  readonly before: Rule | undefined
  readonly after: Rule | undefined
}

/** What a rule that is made, changed or deleted touches: everybody in its audience, then and now. */
export function touchedBy(snapshot: Snapshot, change: ChangeOfRule): Touched {
  const rules = [change.before, change.after].filter((rule) => rule !== undefined)
  return { rules, peers: [...new Set(rules.flatMap((rule) => audienceOf(snapshot, rule)))] }
}

/**
 * What becomes visible, hidden, renamed, allowed or denied between two snapshots that differ by these rules, or by
 * who of these peers they are for.
 *
 * Counts are exact; others have their turn while it goes on. Relationships that are not active show nothing before
 * and after, so they have no changes.
 */
export async function changesBetween(around: Around, touched: Touched): Promise<RuleChanges> {
  const peers = touched.peers.filter((peer) => peer === 'self' || peer.state === 'active')
  const most = Math.max(1, Math.floor(MAX_PAIRS / Math.max(1, peers.length)))
  const found: PeerChanges[] = []
  let complete = true
  for (const direction of DIRECTIONS) {
    const rules = touched.rules.filter((rule) => rule.direction === direction)
    if (rules.length === 0) continue
    for (const peer of peers) {
      if (peer === 'self' && direction === 'import') continue
      const comparison = new Comparison(around, { rules, peer, direction })
      complete = (await comparison.run(most)) && complete
      found.push(comparison.result())
    }
  }
  return { peers: found.filter(({ items }) => items.length > 0), complete }
}

/** The comparison for one peer in one direction. */
class Comparison {
  readonly #around: Around
  readonly #touched: TouchedPeer
  readonly #scene: Parties
  readonly #counts = { visible: 0, hidden: 0, renamed: 0, allowed: 0, denied: 0 }
  readonly #items: RuleChangeItem[] = []

  constructor(around: Around, touched: TouchedPeer) {
    this.#around = around
    this.#touched = touched
    this.#scene = sceneWith(touched.direction, touched.peer)
  }

  /** Compares at most so many services; answers whether these were all. */
  async run(most: number): Promise<boolean> {
    const { before, after, at } = this.#around
    const { rules } = this.#touched
    for (const item of identityChanges(this.#around, this.#touched)) {
      this.#add(item.kind, () => item)
    }
    const all = servicesIn(after, this.#scene)
    const subjects = subjectsAmong(all, rules)
    if (subjects.length === 0) return true
    const [was, is] = [before, after].map((one) => sightOf(one, this.#scene, at)) as [Sight, Sight]
    // A service that goes may leave its name to another that no changed rule speaks of.
    const services = [...new Set([...subjects, ...was.sharing, ...is.sharing])]
    await visitInTurns(services.slice(0, most), (service) => {
      this.#compare(service, was.of(service), is.of(service))
    })
    return services.length <= most
  }

  result(): PeerChanges {
    const { peer, direction } = this.#touched
    return { peer: peerTitle(peer), direction, counts: this.#counts, items: this.#items }
  }

  #compare(service: SnapshotService, was: Seen, is: Seen): void {
    if (!was.isVisible && !is.isVisible) return
    if (this.#scene.kind !== 'within' && !isShown(this.#around.after, this.#scene, service)) return
    const subject = serviceKey(service)
    const { name } = is
    if (!was.isVisible) {
      this.#add('visible', () => ({ kind: 'visible', subject, name, who: this.#termsOf(service) }))
    } else if (!is.isVisible) {
      this.#add('hidden', () => ({ kind: 'hidden', subject, name: was.name, who: [] }))
    } else {
      if (was.name !== name) {
        this.#add('renamed', () => ({ kind: 'renamed', subject, name, was: was.name, who: [] }))
      }
      this.#compareCalls(service, name)
    }
  }

  #compareCalls(service: SnapshotService, name: string): void {
    const { before, after } = this.#around
    const changes = callChanges(this.#rulesFor(before, service), this.#rulesFor(after, service))
    for (const kind of ['allowed', 'denied'] as const) {
      if (changes[kind].length === 0) continue
      const who = [...new Set(changes[kind].flat())]
      this.#add(kind, () => ({ kind, subject: serviceKey(service), name, who }))
    }
  }

  #rulesFor(snapshot: Snapshot, service: SnapshotService): Applicable {
    const { allows, denies } = openRules(snapshot.rules, this.#halfOf(snapshot, service))
    return { allows: allows.map(narrowingOf), denies: denies.map(narrowingOf) }
  }

  #termsOf(service: SnapshotService): string[] {
    const { after } = this.#around
    return whoOf(termsOf(after.rules, this.#halfOf(after, service), service.ports))
  }

  #halfOf(snapshot: Snapshot, service: SnapshotService) {
    const { at } = this.#around
    return openHalfOf(snapshot, this.#scene, { subject: service, labels: service.labels, at })
  }

  #add(kind: ChangeKind, item: () => RuleChangeItem): void {
    this.#counts[kind] += 1
    if (this.#items.length < MAX_ITEMS) this.#items.push(item())
  }
}

function whoOf({ callers, ports, clusters, visibleTo }: Terms): string[] {
  return [
    ...callers,
    ...ports.map(({ name }) => `port ${name}`),
    ...clusters.filter((cluster) => cluster !== '*').map((cluster) => `cluster ${cluster}`),
    ...visibleTo.map((namespace) => `namespace ${namespace}`),
  ]
}
