import { type RouteSummary } from '../../catalog/route/summary.ts'
import { type RelationshipView } from '../../federation/api.ts'
import { parseSpiffeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type Answer, type Query } from '../decision/answer.ts'
import { type ExplainView } from './explain-api.ts'
import { lostName } from '../binding/lost-name.ts'
import { evaluate } from '../decision/evaluate.ts'
import { identityList } from '../decision/identity-list.ts'
import { smallestChange } from '../decision/remedy.ts'
import { sceneOf } from '../decision/scene.ts'
import { parseServiceName } from '../decision/service-name.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'
import { bundleStep, consentText, type TrustStep } from './trust-steps.ts'

/** A question as it comes over the wire. */
export interface Asked {
  readonly service: string
  readonly caller?: string
  readonly of?: string
  readonly to?: string
  readonly port?: string
  readonly cluster?: string
  readonly namespace?: string
}

/** What stands beside rules, as it is now. */
export interface ExplainFacts {
  /** The relationship in question, as federation shows it. */
  readonly relationship?: RelationshipView | undefined
  /** How the service is reached, if that was asked. */
  readonly route?: RouteStep | undefined
}

/** Whether there is a way; `unknown` when the question does not say from where. */
export type RouteStep = Omit<RouteSummary, 'outcome'> & {
  readonly outcome: RouteSummary['outcome'] | 'unknown'
}

/** The question that was asked; throws INVALID_REQUEST, SPIFFE_ID_INVALID. */
export function questionOf({ service, caller, ...rest }: Asked, at: Date): Query {
  const id = caller === undefined ? undefined : parseSpiffeId(caller)
  return { subject: parseServiceName(service), ...rest, caller: id, at }
}

/**
 * A decision with its chain of reasons and, on a deny, the smallest change that would allow it.
 *
 * A call is denied too when no bundle authenticates its other side, and both when another service has the name that
 * rules give this one. Whether there is a way to the service is told and decides nothing: it comes and goes with its
 * endpoints.
 */
export function explain(snapshot: Snapshot, query: Query, facts: ExplainFacts = {}): ExplainView {
  const answer = evaluate(snapshot, query)
  const bundles = bundleSteps(snapshot, query, { answer, facts })
  const lost = answer.decision === 'deny' ? undefined : lostName(snapshot, query)
  const hasNoBundle = bundles.some(({ outcome }) => outcome === 'deny')
  const isDenied = answer.decision === 'deny' || hasNoBundle || lost !== undefined
  const { route } = facts
  return {
    decision: isDenied ? 'deny' : 'allow',
    question: answer.question,
    steps: [
      ...ruleSteps(answer, facts, bundles),
      ...(lost === undefined ? [] : [lost.step]),
      ...(route === undefined ? [] : [{ step: 'route' as const, ...route }]),
      ...identitySteps(snapshot, query),
    ],
    undecided: [...answer.undecided],
    hostname: answer.hostname ?? null,
    serverIds: [...answer.serverIds],
    at: query.at.toISOString(),
    revision: String(snapshot.revision),
    next: [
      ...bundles.flatMap(({ next }) => next),
      ...(lost?.next ?? []),
      ...smallestChange(snapshot, query).map((change) => change.command),
    ],
  }
}

function ruleSteps(
  { steps }: Answer,
  { relationship }: ExplainFacts,
  bundles: readonly TrustStep[],
): ExplainView['steps'] {
  return steps.flatMap((step): ExplainView['steps'] => {
    if (step.step !== 'relationship' || relationship === undefined) return [{ ...step }]
    return [
      { ...step, reason: step.reason + consentText(relationship) },
      ...bundles.map(({ outcome, reason }) => ({ step: 'bundle' as const, outcome, reason })),
    ]
  })
}

/** The bundles that a call needs here: of the caller's trust domain, or of those whose identities serve us. */
function bundleSteps(
  snapshot: Snapshot,
  query: Query,
  { answer, facts }: { readonly answer: Answer; readonly facts: ExplainFacts },
): TrustStep[] {
  const { relationship } = facts
  const scene = sceneOf(snapshot, query)
  if (query.caller === undefined || relationship === undefined) return []
  if (scene.kind === 'foreign' || scene.kind === 'within') return []
  const domains = relationship.domains.map(({ trustDomain }) => trustDomain)
  const named =
    scene.kind === 'export' ? [trustDomainOf(query.caller)] : answer.serverIds.map(trustDomainOf)
  const own = domains.filter((domain) => named.some((one) => one === domain))
  // A caller of another trust domain is denied as such; a service that names no identity may be any of theirs.
  const asked = own.length === 0 && scene.kind === 'import' ? domains : own
  return asked.map((domain) => bundleStep(relationship, domain))
}

function identitySteps(snapshot: Snapshot, query: Query): ExplainView['steps'] {
  const reason = identityList(snapshot, query)
  return reason === undefined ? [] : [{ step: 'identities', outcome: 'allow', reason }]
}
