import { type Query } from '../decision/answer.ts'
import { evaluate } from '../decision/evaluate.ts'
import { audienceOf, type Peer, peerTitle, sceneWith } from '../decision/rule-reach.ts'
import { MAX_PAIRS, servicesIn, sightOf, subjectsAmong, visitInTurns } from './rule-sight.ts'
import { type Rule } from '../rule/rule.ts'
import { serviceKey, type Snapshot, type SnapshotService } from '../snapshot/snapshot.ts'

/** A service that the rule speaks of and that stays hidden, with the step that hides it. */
export interface Withheld {
  readonly peer: string
  readonly service: string
  readonly reason: string
}

/** What a rule's subject comes to for one of its audience. */
export interface Reach {
  /** A relationship's name, or `self`. */
  readonly peer: string
  /** How many services are visible. */
  readonly count: number
  /** The first of them. */
  readonly services: readonly SnapshotService[]
}

/** What a rule's subject comes to for its whole audience, all rules considered. */
export interface RuleEffect {
  readonly reaches: readonly Reach[]
  readonly notActive: readonly {
    readonly peer: string
    readonly state: string
    readonly reason: string
  }[]
  readonly withheld: readonly Withheld[]
  /** Whether every service was looked at; of a rule of enormous reach the first of each peer's are. */
  readonly complete: boolean
}

/** Services and refusals that an answer names one by one. */
const MAX_NAMED = 20

/**
 * What is visible to whom of a rule's subject at a moment, in a snapshot that holds the rule.
 *
 * For an export: our services to each peer of the audience; for an import: each peer's offers to us. Counts are
 * exact; others have their turn while it goes on.
 */
export async function effectOf(snapshot: Snapshot, rule: Rule, at: Date): Promise<RuleEffect> {
  const peers = audienceOf(snapshot, rule)
  const active = peers.filter((peer) => peer === 'self' || peer.state === 'active')
  const most = Math.max(1, Math.floor(MAX_PAIRS / Math.max(1, active.length)))
  const withheld: Withheld[] = []
  const reaches: Reach[] = []
  let complete = true
  for (const peer of active) {
    const scene = sceneWith(rule.direction, peer)
    const subjects = subjectsAmong(servicesIn(snapshot, scene), [rule])
    if (subjects.length > most) complete = false
    const question = { ...questionOf(rule, peer), at }
    const sight = sightOf(snapshot, scene, at)
    const services: SnapshotService[] = []
    let count = 0
    await visitInTurns(subjects.slice(0, most), (service) => {
      const { isVisible, conflict } = sight.of(service)
      if (isVisible) {
        count += 1
        if (services.length < MAX_NAMED) services.push(service)
      } else if (withheld.length < MAX_NAMED) {
        const reason = conflict ?? refusalOf(snapshot, { ...question, subject: service })
        withheld.push({ peer: peerTitle(peer), service: serviceKey(service), reason })
      }
    })
    reaches.push({ peer: peerTitle(peer), count, services })
  }
  return { reaches, notActive: peers.flatMap(notActive), withheld, complete }
}

function questionOf({ direction }: Rule, peer: Peer): Pick<Query, 'of' | 'to'> {
  if (peer === 'self') return {}
  return direction === 'export' ? { to: peer.name } : { of: peer.name }
}

function refusalOf(snapshot: Snapshot, query: Query): string {
  return evaluate(snapshot, query).steps.find(({ outcome }) => outcome === 'deny')?.reason ?? ''
}

function notActive(peer: Peer): RuleEffect['notActive'] {
  if (peer === 'self' || peer.state === 'active') return []
  const { name, state, waitingFor } = peer
  const lacking = waitingFor.length === 0 ? '' : `, waiting for ${waitingFor.join(' and ')}`
  return [{ peer: name, state, reason: `${state}${lacking}` }]
}
