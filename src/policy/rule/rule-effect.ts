import { type Query } from '../decision/answer.ts'
import { evaluate } from '../decision/evaluate.ts'
import { type SubjectName } from '../snapshot/rule-index.ts'
import { audienceOf, type Peer, peerTitle, subjectsOf } from './rule-reach.ts'
import { type Rule } from './rule.ts'
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
  /** Whether every service was looked at; a rule of enormous reach is sampled. */
  readonly complete: boolean
}

/** Decisions that one answer may cost: some 40 ms. */
const MAX_DECISIONS = 20_000
/** Services and refusals that an answer names one by one. */
const MAX_NAMED = 20

/**
 * What is visible to whom of a rule's subject at a moment, in a snapshot that holds the rule.
 *
 * For an export: our services to each peer of the audience; for an import: each peer's offers to us.
 */
export function effectOf(snapshot: Snapshot, rule: Rule, at: Date): RuleEffect {
  const peers = audienceOf(snapshot, rule)
  const active = peers.filter((peer) => peer === 'self' || peer.state === 'active')
  const most = Math.max(1, Math.floor(MAX_DECISIONS / Math.max(1, active.length)))
  const withheld: Withheld[] = []
  const reaches: Reach[] = []
  let complete = true
  for (const peer of active) {
    const subjects = subjectsOf(snapshot, rule, peer)
    if (subjects.length > most) complete = false
    const found = lookAt(snapshot, subjects.slice(0, most), { ...questionOf(rule, peer), at })
    reaches.push({
      peer: peerTitle(peer),
      count: found.open.length,
      services: found.open.slice(0, MAX_NAMED),
    })
    withheld.push(...found.closed.slice(0, MAX_NAMED - withheld.length))
  }
  return { reaches, notActive: peers.flatMap(notActive), withheld, complete }
}

function questionOf({ direction }: Rule, peer: Peer): Pick<Query, 'of' | 'to'> {
  if (peer === 'self') return {}
  return direction === 'export' ? { to: peer.name } : { of: peer.name }
}

function lookAt(
  snapshot: Snapshot,
  services: readonly SnapshotService[],
  question: Omit<Query, 'subject'>,
): { open: SnapshotService[]; closed: Withheld[] } {
  const open: SnapshotService[] = []
  const closed: Withheld[] = []
  for (const service of services) {
    const answer = evaluate(snapshot, { ...question, subject: service })
    if (answer.decision === 'allow') open.push(service)
    else
      closed.push(
        withheldOf(service, question, answer.steps.find((step) => step.outcome === 'deny')?.reason),
      )
  }
  return { open, closed }
}

function withheldOf(service: SubjectName, question: Omit<Query, 'subject'>, reason = ''): Withheld {
  return { peer: question.to ?? question.of ?? 'self', service: serviceKey(service), reason }
}

function notActive(peer: Peer): RuleEffect['notActive'] {
  if (peer === 'self' || peer.state === 'active') return []
  const { name, state, waitingFor } = peer
  const lacking = waitingFor.length === 0 ? '' : `, waiting for ${waitingFor.join(' and ')}`
  return [{ peer: name, state, reason: `${state}${lacking}` }]
}
