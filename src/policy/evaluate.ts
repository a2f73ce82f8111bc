import { type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { type Answer, type Query, type Step } from './answer.ts'
import { type HalfQuestion, judge, type Verdict } from './judge.ts'
import { halfOf, type Parties, sceneOf } from './scene.ts'
import {
  hostnameOf,
  serviceKey,
  type Snapshot,
  type SnapshotRelationship,
  type SnapshotService,
} from './snapshot.ts'

/**
 * Decides whether a service may be seen or called, with the whole chain of reasons.
 *
 * Effective = exporter allows ∧ importer allows ∧ relationship active, whatever its health ∧ the caller belongs to
 * who asks. A half that only the peer knows is `unknown` and never turns a deny into an allow. Pure: the same
 * snapshot and query always give the same answer.
 */
export function evaluate(snapshot: Snapshot, query: Query): Answer {
  const question = query.caller === undefined ? 'visibility' : 'call'
  const scene = sceneOf(snapshot, query)
  if (scene.kind === 'foreign') {
    return { decision: 'deny', question, steps: [scene.step], undecided: [], serverIds: [] }
  }
  const service = findService(snapshot, scene, query)
  const steps = chainOf(snapshot, scene, { query, service })
  return {
    decision: steps.some((step) => step.outcome === 'deny') ? 'deny' : 'allow',
    question,
    steps,
    undecided: scene.kind === 'within' ? [] : [scene.peer.name],
    ...(scene.kind === 'import' && {
      hostname: hostnameOf(snapshot, scene.peer.name, query.subject),
    }),
    serverIds: service?.serverIds ?? [],
  }
}

/** A question together with the service that it found, if any. */
interface Asked {
  readonly query: Query
  readonly service: SnapshotService | undefined
}

function chainOf(snapshot: Snapshot, scene: Parties, asked: Asked): Step[] {
  const half = halfOf(scene, asked.query)
  const steps: Step[] = []
  if (scene.kind !== 'within') steps.push(relationshipStep(scene.peer))
  steps.push(subjectStep(snapshot, scene, asked))
  steps.push(...ruleSteps(scene, half, judge(snapshot.rules, half)))
  const { caller } = asked.query
  if (caller !== undefined) steps.push(tenancyStep(snapshot, scene, caller))
  return steps
}

function findService(
  snapshot: Snapshot,
  scene: Parties,
  query: Query,
): SnapshotService | undefined {
  const key = serviceKey(query.subject)
  if (scene.kind !== 'import') return snapshot.services.get(key)
  return snapshot.offers.get(scene.peer.name)?.get(key)
}

function relationshipStep({ name, state, waitingFor }: SnapshotRelationship): Step {
  if (state === 'active') {
    return { step: 'relationship', outcome: 'allow', reason: `relationship ${name} is active` }
  }
  const lacking = waitingFor.length === 0 ? '' : `, waiting for ${waitingFor.join(' and ')}`
  const reason = `relationship ${name} is ${state}${lacking}`
  return { step: 'relationship', outcome: 'deny', reason }
}

function subjectStep(snapshot: Snapshot, scene: Parties, { query, service }: Asked): Step {
  const name = serviceKey(query.subject)
  const outcome = service === undefined ? 'deny' : 'allow'
  if (scene.kind === 'import') {
    const found = service === undefined ? 'no offer' : 'an offer'
    return {
      step: 'subject',
      outcome,
      reason: `${found} of ${name} from ${scene.peer.name} is on record`,
    }
  }
  const is = service === undefined ? 'is not' : 'is'
  return { step: 'subject', outcome, reason: `${name} ${is} a service of ${snapshot.meshId}` }
}

function ruleSteps(scene: Parties, half: HalfQuestion, verdict: Verdict): Step[] {
  const ours = ruleStep(half, verdict)
  if (scene.kind === 'within') return [ours]
  const { name } = scene.peer
  const theirs = { outcome: 'unknown', reason: `decided by ${name}`, decidedBy: name } as const
  return scene.kind === 'export'
    ? [ours, { step: 'importRule', ...theirs }]
    : [{ step: 'exportRule', ...theirs }, ours]
}

function ruleStep(half: HalfQuestion, { allow, deny }: Verdict): Step {
  const step = half.direction === 'export' ? 'exportRule' : 'importRule'
  if (deny !== undefined) {
    const stands = allow === undefined ? '' : `, whatever rule ${allow.rule.id} allows`
    const reason = `rule ${deny.rule.id} (${deny.line}) denies it${stands}`
    return { step, outcome: 'deny', reason, ruleId: deny.rule.id }
  }
  if (allow === undefined) return { step, outcome: 'deny', reason: silence(half) }
  const reason = `rule ${allow.rule.id} (${allow.line}) allows it`
  return { step, outcome: 'allow', reason, ruleId: allow.rule.id }
}

function silence({ direction, relationship, subject, caller }: HalfQuestion): string {
  const who = caller === undefined ? '' : ` for caller ${caller.path}`
  const preposition = direction === 'export' ? 'to' : 'from'
  const whom = relationship ?? 'self'
  return `no ${direction} rule allows ${serviceKey(subject)} ${preposition} ${whom}${who}`
}

function tenancyStep(snapshot: Snapshot, scene: Parties, caller: SpiffeId): Step {
  const domain = trustDomainOf(caller)
  const asking = scene.kind === 'export' ? scene.peer.name : snapshot.meshId
  const belongs =
    scene.kind === 'export'
      ? scene.peer.trustDomains.includes(domain)
      : snapshot.trustDomains.has(domain)
  const reason = `caller's trust domain ${domain} ${belongs ? 'belongs' : 'does not belong'} to ${asking}`
  return { step: 'tenancy', outcome: belongs ? 'allow' : 'deny', reason }
}
