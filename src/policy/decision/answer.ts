import { type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type SubjectName } from '../snapshot/rule-index.ts'

/** What a decision can be. */
export const DECISIONS = ['allow', 'deny'] as const
/** One of {@link DECISIONS}. */
export type Decision = (typeof DECISIONS)[number]

/** What a step can say; `unknown` = only the peer knows, and never turns a deny into an allow. */
export const OUTCOMES = ['allow', 'deny', 'unknown'] as const
/** One of {@link OUTCOMES}. */
export type Outcome = (typeof OUTCOMES)[number]

/** The links of the chain, in the order in which answers hold them. */
export const STEPS = [
  'relationship',
  'subject',
  'identity',
  'exportRule',
  'importRule',
  'tenancy',
] as const
/** One of {@link STEPS}. */
export type StepName = (typeof STEPS)[number]

/** The links of an explained chain: those of a decision, and what stands beside rules. */
export const EXPLAINED_STEPS = [...STEPS, 'bundle', 'name', 'route', 'identities'] as const

/** Acts that can turn a deny into an allow. */
export const ACTS = [
  'offer.create',
  'relationship.activate',
  'relationship.create',
  'rule.create',
  'rule.delete',
  'service.change',
  'service.create',
] as const
/** One of {@link ACTS}. */
export type Act = (typeof ACTS)[number]

/** One link of the chain of reasons. */
export interface Step {
  readonly step: StepName
  readonly outcome: Outcome
  readonly reason: string
  /** The rule that decided: the first applicable deny, else the first applicable allow. */
  readonly ruleId?: string
  /** What its author calls that rule. */
  readonly ruleName?: string
  /** The relationship whose mesh alone knows this half. */
  readonly decidedBy?: string
}

/** One part of the smallest change that would allow what was denied. */
export interface Change {
  readonly act: Act
  readonly command: string
  readonly ruleId?: string
}

/**
 * What is asked: may this service be seen (no caller) or called (with one)?
 *
 * Without `of` the service is ours, with `of` it is that peer's. Without `to` the caller's trust domain tells who
 * asks; without either, the mesh itself does. `at` decides which rules have ended. What is left out of caller,
 * port, cluster and namespace is left open: the answer then holds for somebody there, not for everybody. Only the
 * cluster of a caller is never open: a call without one is allowed if it is in every cluster.
 */
export interface Query {
  readonly subject: SubjectName
  readonly of?: string | undefined
  readonly to?: string | undefined
  readonly caller?: SpiffeId | undefined
  /** The name of one of the service's ports. */
  readonly port?: string | undefined
  /** The cluster of ours in which the consumer runs; of an export to a peer, which serves it. */
  readonly cluster?: string | undefined
  /** The namespace of ours in which the consumer runs; without it the caller's path tells. */
  readonly namespace?: string | undefined
  readonly at: Date
}

/** A decision with its whole chain of reasons, also when it is an allow. */
export interface Answer {
  readonly decision: Decision
  readonly question: 'visibility' | 'call'
  readonly steps: readonly Step[]
  /** Relationships whose own half is not known here; an allow holds only if theirs does. */
  readonly undecided: readonly string[]
  /** The service as its consumers know it, `namespace/name`: after the alias of the rule that names it. */
  readonly exportedName?: string
  /** The peer's service as this mesh names it. */
  readonly hostname?: string
  /** Identities that a client must require of the server. */
  readonly serverIds: readonly SpiffeId[]
}
