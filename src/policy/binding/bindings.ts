import { isOwned } from '../../access/owner-scope.ts'
import { type Rule, ruleTitle } from '../rule/rule.ts'
import { isSeenBy } from '../snapshot/seen-rules.ts'
import { aliased } from '../decision/evaluate.ts'
import { judgeOpen, type OpenVerdict } from '../decision/judge.ts'
import { type Draft, isAllowed, keepersOf } from './name-keepers.ts'
import { type SubjectName } from '../snapshot/rule-index.ts'
import { openHalfOf, type Parties } from '../decision/scene.ts'
import {
  hostnameOf,
  serviceKey,
  type Snapshot,
  type SnapshotRelationship,
  type SnapshotService,
} from '../snapshot/snapshot.ts'
import { NO_TERMS, type Terms, termsOf, termsUnder } from '../decision/terms.ts'
import { citation } from '../decision/verdict-step.ts'

/**
 * What rules made of a service between two meshes: `offered` to a peer; of a peer's offers `imported`, or
 * `not-imported` for want of a rule; `hidden` by a deny or by the relationship's state; `conflict` when another
 * service has its name.
 */
export const BINDING_STATES = ['offered', 'imported', 'not-imported', 'hidden', 'conflict'] as const
/** One of {@link BINDING_STATES}. */
export type BindingState = (typeof BINDING_STATES)[number]

/** A service between two meshes, as rules have it at a moment. */
export interface Binding extends Terms {
  /** Its name where it belongs. */
  readonly subject: SubjectName
  readonly service: SnapshotService
  readonly state: BindingState
  /** Its name where it goes, `namespace/name`. */
  readonly name: string
  /** For a peer's service: where this mesh reaches it. */
  readonly hostname: string | undefined
  /** The rule that decided: a deny, or the allow that names it. */
  readonly rule: Rule | undefined
  readonly reason: string
  /** The service that keeps the name instead, and the rule that gave it. */
  readonly conflictsWith: Keeper | undefined
}

/** Who has a name that another service was to get. */
export interface Keeper {
  readonly subject: SubjectName
  readonly rule: Rule | undefined
  /** Whether the snapshot's reader may know which service that is. */
  readonly isShown: boolean
}

/** The parties of a service that goes from one mesh to another. */
export type Between = Exclude<Parties, { readonly kind: 'within' }>

/**
 * What a mesh shows to a peer at a moment, by name: every service that some rule allows it.
 *
 * Of services with one exported name the one that has gone by it for longest keeps it; the others are in conflict and
 * go without, until somebody decides. Empty without such a peer.
 */
export function offered(snapshot: Snapshot, relationship: string, at: Date): Binding[] {
  const peer = snapshot.relationships.get(relationship)
  if (peer === undefined) return []
  return bindingsOf(
    snapshot,
    { kind: 'export', peer },
    { services: inOrder(snapshot.services), at },
  )
}

/** What a mesh makes of everything that a peer offers, by name; conflicts as for {@link offered}. */
export function bound(snapshot: Snapshot, relationship: string, at: Date): Binding[] {
  const peer = snapshot.relationships.get(relationship)
  const offers = snapshot.offers.get(relationship)
  if (peer === undefined || offers === undefined) return []
  return bindingsOf(snapshot, { kind: 'import', peer }, { services: inOrder(offers), at })
}

/** What rules make of these services, in their order; those of ours that no rule allows the peer are left out. */
export function bindingsOf(
  snapshot: Snapshot,
  scene: Between,
  { services, at }: { readonly services: Iterable<SnapshotService>; readonly at: Date },
): Binding[] {
  const drafts = draftsOf(snapshot, scene, { services, at })
  const keepers = keepersIn(snapshot, drafts, (whole) => draftsOf(whole, scene, { services, at }))
  return drafts.map((draft) => bindingOf(snapshot, scene, { draft, keepers }))
}

function draftsOf(
  snapshot: Snapshot,
  scene: Between,
  { services, at }: { readonly services: Iterable<SnapshotService>; readonly at: Date },
): Draft[] {
  const drafts: Draft[] = []
  for (const service of services) {
    const draft = draftOf(snapshot, scene, { service, at })
    if (scene.kind === 'import' || draft.verdict.allow !== undefined) drafts.push(draft)
  }
  return drafts
}

/** Who keeps each name; also rules that the snapshot's reader does not see have a say in that. */
function keepersIn(
  snapshot: Snapshot,
  drafts: readonly Draft[],
  again: (whole: Snapshot) => readonly Draft[],
): ReadonlyMap<string, Draft> {
  const { rules, allRules } = snapshot
  // Without aliases every service has a name of its own.
  if (rules.aliases.size === 0) return NO_KEEPERS
  if (allRules === undefined) return keepersOf(rules, drafts)
  return keepersOf(allRules, again({ ...snapshot, rules: allRules }))
}

const NO_KEEPERS: ReadonlyMap<string, Draft> = new Map()

const ORDERED = new WeakMap<ReadonlyMap<string, SnapshotService>, readonly SnapshotService[]>()

/** Services by name; a snapshot is asked for the list of every peer, so they are put in order once. */
export function inOrder(
  services: ReadonlyMap<string, SnapshotService>,
): readonly SnapshotService[] {
  const known = ORDERED.get(services)
  if (known !== undefined) return known
  const ordered = [...services]
    .toSorted(([a], [b]) => compareTexts(a, b))
    .map(([, service]) => service)
  ORDERED.set(services, ordered)
  return ordered
}

function draftOf(
  snapshot: Snapshot,
  scene: Between,
  { service, at }: { readonly service: SnapshotService; readonly at: Date },
): Draft {
  const half = openHalfOf(snapshot, scene, { subject: service, labels: service.labels, at })
  const verdict = judgeOpen(snapshot.rules, half)
  const key = serviceKey(service)
  const as = verdict.allow?.rule.as
  const name = as === undefined ? key : serviceKey(aliased(service, as))
  return { service, key, half, verdict, name }
}

function bindingOf(
  snapshot: Snapshot,
  scene: Between,
  { draft, keepers }: { readonly draft: Draft; readonly keepers: ReadonlyMap<string, Draft> },
): Binding {
  const { service, half, verdict, name } = draft
  const keeper = isAllowed(draft) ? keepers.get(name) : undefined
  const other = keeper?.key === draft.key ? undefined : keeper
  const { name: peer } = scene.peer
  const isOpen = isAllowed(draft) && scene.peer.state === 'active'
  const { state, reason } = stateOf(scene, draft, other && holderOf(snapshot, scene, other))
  const terms = isOpen
    ? termsUnder(verdict, service, () => termsOf(snapshot.rules, half, service.ports))
    : NO_TERMS
  return {
    ...terms,
    subject: { namespace: service.namespace, name: service.name },
    service,
    state,
    reason,
    name,
    hostname: scene.kind === 'import' ? hostnameOf(snapshot, peer, nameIn(name)) : undefined,
    rule: (verdict.deny ?? verdict.allow)?.rule,
    conflictsWith: other && {
      subject: { namespace: other.service.namespace, name: other.service.name },
      rule: citedTo(snapshot, other.verdict),
      isShown: isShown(snapshot, scene, other.service),
    },
  }
}

function stateOf(
  { kind, peer }: Between,
  { verdict, name }: Draft,
  holder: string | undefined,
): Pick<Binding, 'state' | 'reason'> {
  const { allow, deny } = verdict
  if (deny !== undefined) {
    return { state: 'hidden', reason: `${citation(deny)} denies it` }
  }
  if (allow === undefined) return { state: 'not-imported', reason: 'no import rule allows it' }
  if (peer.state !== 'active') return { state: 'hidden', reason: inactive(peer) }
  if (holder !== undefined) {
    return { state: 'conflict', reason: `${name} is the name of ${holder}` }
  }
  const reason = `${citation(allow)} allows it`
  return { state: kind === 'export' ? 'offered' : 'imported', reason }
}

/**
 * Whether the snapshot's reader may know of a service: what a peer offers is for everybody to read, services of ours
 * are their namespaces'.
 */
export function isShown(
  { ownerScope }: Snapshot,
  { kind }: Between,
  { namespace }: SubjectName,
): boolean {
  return kind === 'import' || isOwned(ownerScope, [namespace])
}

function holderOf(snapshot: Snapshot, scene: Between, { service, key, verdict }: Draft): string {
  if (!isShown(snapshot, scene, service)) return 'another service already'
  const rule = citedTo(snapshot, verdict)
  return `${key} already${rule === undefined ? '' : `, by rule ${ruleTitle(rule)}`}`
}

/** The rule that gives a name, if the snapshot's reader may know of it. */
function citedTo({ ownerScope }: Snapshot, { allow }: OpenVerdict): Rule | undefined {
  return allow !== undefined && isSeenBy(allow.rule, ownerScope) ? allow.rule : undefined
}

function inactive({ name, state }: SnapshotRelationship): string {
  return `relationship ${name} is ${state}`
}

function nameIn(key: string): SubjectName {
  const [namespace = '', name = ''] = key.split('/')
  return { namespace, name }
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
