import { type SpiffeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type Answer, type Query, type Step } from './answer.ts'
import { type HalfQuestion, judge, type Verdict } from './judge.ts'
import { type SubjectName } from '../snapshot/rule-index.ts'
import { halfOf, identityHalfOf, NO_LABELS, openHalf, type Parties, sceneOf } from './scene.ts'
import { verdictStep } from './verdict-step.ts'
import {
  hostnameOf,
  serviceKey,
  type Snapshot,
  type SnapshotRelationship,
  type SnapshotService,
} from '../snapshot/snapshot.ts'

/**
 * Decides whether a service may be seen or called, with the whole chain of reasons.
 *
 * Effective = exporter allows ∧ importer allows ∧ relationship active, whatever its health ∧ the caller's identity
 * is exposed to whom it calls ∧ it belongs to who asks. A half that only the peer knows is `unknown` and never
 * turns a deny into an allow. Pure: the same snapshot and query always give the same answer.
 */
export function evaluate(snapshot: Snapshot, query: Query): Answer {
  const question = query.caller === undefined ? 'visibility' : 'call'
  const scene = sceneOf(snapshot, query)
  if (scene.kind === 'foreign') {
    return { decision: 'deny', question, steps: [scene.step], undecided: [], serverIds: [] }
  }
  const service = findService(snapshot, scene, query.subject)
  const half = halfOf(snapshot, scene, { query, labels: service?.labels ?? NO_LABELS })
  const verdict = judge(snapshot.rules, half)
  const steps = chainOf(snapshot, scene, { query, service, half, verdict })
  const name = nameOf(snapshot, scene, { half, verdict, subject: query.subject })
  return {
    decision: steps.some((step) => step.outcome === 'deny') ? 'deny' : 'allow',
    question,
    steps,
    undecided: scene.kind === 'within' ? [] : [scene.peer.name],
    exportedName: serviceKey(name),
    ...(scene.kind === 'import' && { hostname: hostnameOf(snapshot, scene.peer.name, name) }),
    serverIds: service?.serverIds ?? [],
  }
}

/** The service that a question is about: ours, or what the peer offers. */
export function findService(
  snapshot: Snapshot,
  scene: Parties,
  subject: SubjectName,
): SnapshotService | undefined {
  const key = serviceKey(subject)
  if (scene.kind !== 'import') return snapshot.services.get(key)
  return snapshot.offers.get(scene.peer.name)?.get(key)
}

/** A question with what was found for it. */
interface Asked {
  readonly query: Query
  readonly service: SnapshotService | undefined
  readonly half: HalfQuestion
  readonly verdict: Verdict
}

// What a service is called must not depend on who asks, so its name comes from the first allow for anybody there.
function nameOf(
  snapshot: Snapshot,
  scene: Parties,
  { half, verdict, subject }: Pick<Asked, 'half' | 'verdict'> & { readonly subject: SubjectName },
): SubjectName {
  if (scene.kind === 'within' || snapshot.rules.aliases.size === 0) return subject
  const { allow } = isOpen(half) ? verdict : judge(snapshot.rules, openHalf(half))
  return aliased(subject, allow?.rule.as)
}

/** A service under the name that a rule gives it. */
export function aliased(
  { namespace, name }: SubjectName,
  as: { readonly namespace?: string; readonly name?: string } | undefined,
): SubjectName {
  return { namespace: as?.namespace ?? namespace, name: as?.name ?? name }
}

function isOpen({ caller, port, cluster, namespace }: HalfQuestion): boolean {
  return (
    caller === undefined && port === undefined && cluster === undefined && namespace === undefined
  )
}

function chainOf(snapshot: Snapshot, scene: Parties, asked: Asked): Step[] {
  const steps: Step[] = []
  if (scene.kind !== 'within') steps.push(relationshipStep(scene.peer))
  steps.push(subjectStep(snapshot, scene, asked))
  const identity = identityHalfOf(snapshot, scene, asked.query)
  if (identity !== undefined) steps.push(identityStep(snapshot, scene, identity))
  const ours = verdictStep(snapshot.rules, asked.half, asked.verdict)
  steps.push(...ruleSteps(scene, ours))
  const { caller } = asked.query
  if (caller !== undefined) steps.push(tenancyStep(snapshot, scene, caller))
  return steps
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
  const { port } = query
  if (
    service !== undefined &&
    port !== undefined &&
    !service.ports.some((one) => one.name === port)
  ) {
    return { step: 'subject', outcome: 'deny', reason: `${name} has no port ${port}` }
  }
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

// Whose identity it is decides whether to show it. We can only keep a peer's out; that it shows one is its word.
function identityStep(snapshot: Snapshot, scene: Parties, half: HalfQuestion): Step {
  const verdict = judge(snapshot.rules, half)
  if (scene.kind === 'import' || verdict.deny !== undefined) {
    return { ...verdictStep(snapshot.rules, half, verdict), step: 'identity' }
  }
  const decidedBy = half.relationship ?? ''
  return { step: 'identity', outcome: 'unknown', reason: `decided by ${decidedBy}`, decidedBy }
}

function ruleSteps(scene: Parties, ours: Step): Step[] {
  if (scene.kind === 'within') return [ours]
  const { name } = scene.peer
  const theirs = { outcome: 'unknown', reason: `decided by ${name}`, decidedBy: name } as const
  return scene.kind === 'export'
    ? [ours, { step: 'importRule', ...theirs }]
    : [{ step: 'exportRule', ...theirs }, ours]
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
