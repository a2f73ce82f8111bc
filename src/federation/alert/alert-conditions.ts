import { type MeshId } from '../../db/ids.ts'
import { type Severity } from '../../db/schema.ts'
import { type AlertCodeName } from './alert-codes.ts'
import {
  type AboutRelationship,
  type ChangingDomain,
  type DatedRelationship,
  type EndingDomain,
  type TroubledPoll,
  type WaitingDocument,
} from './alert-facts-store.ts'
import { urgencyOf } from './forecast.ts'
import { MAX_CHANGES_PER_HOUR } from '../poll/next-poll.ts'

/** Something that holds now and that somebody must know of. Its message stays the same while nothing changes. */
export interface Condition {
  /** Absent for what concerns the whole service. */
  readonly meshId: MeshId | undefined
  readonly relationshipId: string | undefined
  readonly code: AlertCodeName
  readonly object: string
  readonly severity: Severity
  readonly message: string
}

/** What {@link peerConditions} is decided by. */
export interface PeerFacts {
  readonly polls: readonly TroubledPoll[]
  readonly ending: readonly EndingDomain[]
  readonly waiting: readonly WaitingDocument[]
  readonly changing: readonly ChangingDomain[]
  readonly dated: readonly DatedRelationship[]
}

/** What holds of peers. Pure. */
export function peerConditions(facts: PeerFacts, now: Date): Condition[] {
  const ended = facts.ending.filter((ending) => needsBootstrap(ending, now))
  const lost = new Set([
    ...ended.map(keyOf),
    ...facts.polls.filter(({ health }) => health === 'needs-bootstrap').map(keyOf),
  ])
  return distinct([
    ...ended.map((ending) => bootstrapByEnd(ending)),
    ...facts.polls.flatMap((poll) => pollConditions(poll, lost)),
    ...facts.ending.flatMap((ending) => endingConditions(ending, now)),
    ...facts.waiting.map((document) => quarantined(document)),
    ...facts.changing.map((domain) => changing(domain)),
    ...facts.dated.flatMap((relationship) => dated(relationship, now)),
  ])
}

/** Seconds before the end of a relationship from which it is told of, by urgency. */
const EXPIRY_SECONDS = { info: 30 * 86_400, warning: 7 * 86_400, critical: 86_400 } as const

/** The first moment that {@link peerConditions} tells of an end at `now`. */
export function expiryHorizon(now: Date): Date {
  return new Date(now.getTime() + EXPIRY_SECONDS.info * 1000)
}

function needsBootstrap(ending: EndingDomain, now: Date): boolean {
  return ending.endsAt < now && (ending.source === 'https_spiffe' || ending.source === 'static')
}

type DomainFact = AboutRelationship & { readonly trustDomain: string }

function onDomain(
  fact: DomainFact,
  about: Pick<Condition, 'code' | 'severity' | 'message'>,
): Condition {
  const { meshId, relationshipId, relationship, trustDomain } = fact
  return { meshId, relationshipId, object: `${relationship}/${trustDomain}`, ...about }
}

function keyOf({ relationshipId, trustDomain }: DomainFact): string {
  return `${relationshipId} ${trustDomain}`
}

function bootstrapByEnd(ending: EndingDomain): Condition {
  const { endingDomain, endsAt } = ending
  return onDomain(ending, {
    code: 'peer.needs-bootstrap',
    severity: 'critical',
    message: `the last X.509 authority of ${endingDomain} that we hold ended at ${endsAt.toISOString()}`,
  })
}

/** One condition per poll, the worst: what needs a bootstrap is stale and failing, too. */
function pollConditions(poll: TroubledPoll, lost: ReadonlySet<string>): Condition[] {
  const wentBack = poll.lastErrorCode === 'BUNDLE_SEQUENCE_REGRESSED' ? [regressed(poll)] : []
  if (poll.health === 'needs-bootstrap') {
    const message = `no authority that we hold can authenticate the endpoint of ${poll.trustDomain}`
    return [onDomain(poll, { code: 'peer.needs-bootstrap', severity: 'critical', message })]
  }
  if (lost.has(keyOf(poll))) return wentBack
  const why = poll.lastError === undefined ? '' : `: ${poll.lastError}`
  if (poll.isStale) {
    const since = poll.lastSuccessAt?.toISOString()
    const last =
      since === undefined ? 'no poll has succeeded yet' : `no poll has succeeded since ${since}`
    return [
      onDomain(poll, { code: 'peer.stale', severity: 'warning', message: last + why }),
      ...wentBack,
    ]
  }
  if (poll.failures === 0) return wentBack
  const message = `the last poll failed${why}`
  return [onDomain(poll, { code: 'peer.failing', severity: 'info', message }), ...wentBack]
}

function regressed(poll: TroubledPoll): Condition {
  const message = poll.lastError ?? 'the sequence went back'
  return onDomain(poll, { code: 'peer.sequence-regressed', severity: 'warning', message })
}

/** Failing polls make an end a deadlock that nothing heals; succeeding ones leave the peer time to rotate. */
function endingConditions(ending: EndingDomain, now: Date): Condition[] {
  const { endsAt, lifeSeconds, endingDomain, trustDomain } = ending
  const found: Condition[] = []
  const at = endsAt.toISOString()
  const severity = urgencyOf({ at: endsAt, lifeSeconds }, now)
  if (ending.isActive && severity !== undefined) {
    const what =
      endingDomain === trustDomain
        ? `the last X.509 authority of ${trustDomain} that we hold ends at ${at}`
        : `the last X.509 authority of ${endingDomain}, which authenticates the endpoint of ${trustDomain}, ends at ${at}`
    found.push(onDomain(ending, { code: 'trust.breaks-soon', severity, message: what }))
  }
  if (ending.source !== 'https_spiffe' || ending.failures === 0 || endsAt < now) return found
  const message = `polls of ${trustDomain} fail, and from ${at} on its endpoint can no longer be authenticated`
  return [
    ...found,
    onDomain(ending, { code: 'peer.deadlock-ahead', severity: 'critical', message }),
  ]
}

function quarantined(document: WaitingDocument): Condition {
  const { n, trustDomain, reason } = document
  const why = reason === undefined ? '' : `: ${reason}`
  const message = `revision ${n} of ${trustDomain} waits for a person${why}`
  return onDomain(document, { code: 'peer.quarantined', severity: 'warning', message })
}

function changing(domain: ChangingDomain): Condition {
  const message = `the bundle changed more than ${MAX_CHANGES_PER_HOUR} times within an hour; it is polled slowest`
  return onDomain(domain, { code: 'peer.changes-too-often', severity: 'warning', message })
}

function dated(relationship: DatedRelationship, now: Date): Condition[] {
  const { meshId, relationshipId, relationship: object, reviewAt, expiresAt } = relationship
  const about = { meshId, relationshipId, object }
  const found: Condition[] = []
  if (reviewAt !== undefined && reviewAt <= now) {
    const message = `to be reviewed since ${reviewAt.toISOString()}`
    found.push({ ...about, code: 'relationship.review-due', severity: 'warning', message })
  }
  if (expiresAt === undefined || expiresAt > expiryHorizon(now)) return found
  const message = `terminates by itself at ${expiresAt.toISOString()}`
  const severity = expiryUrgency((expiresAt.getTime() - now.getTime()) / 1000)
  return [...found, { ...about, code: 'relationship.expires-soon', severity, message }]
}

function expiryUrgency(remainingSeconds: number): Severity {
  if (remainingSeconds <= EXPIRY_SECONDS.critical) return 'critical'
  return remainingSeconds <= EXPIRY_SECONDS.warning ? 'warning' : 'info'
}

/** What names a condition among all. */
export function conditionKey(
  condition: Pick<Condition, 'meshId' | 'object'> & { readonly code: string },
): string {
  return JSON.stringify([condition.meshId ?? '', condition.code, condition.object])
}

/** Of several findings of one condition the first that is as severe as any; the others add nothing. */
export function distinct(conditions: readonly Condition[]): Condition[] {
  const found = new Map<string, Condition>()
  for (const condition of conditions) {
    const known = found.get(conditionKey(condition))
    if (known === undefined || isWorse(condition, known)) {
      found.set(conditionKey(condition), condition)
    }
  }
  return [...found.values()]
}

function isWorse(one: Condition, other: Condition): boolean {
  return one.severity === 'critical' && other.severity !== 'critical'
}
