import { aliased } from '../decision/evaluate.ts'
import { judge } from '../decision/judge.ts'
import { audienceOf, isNamed, type Peer, peerTitle, sceneWith, subjectsOf } from './rule-reach.ts'
import { hasEnded, type Rule } from './rule.ts'
import { openHalfOf } from '../decision/scene.ts'
import { serviceKey, type Snapshot, type SnapshotService } from '../snapshot/snapshot.ts'
import { merged, NO_TERMS, type Terms, termsOf } from '../decision/terms.ts'

/** What a change of rules can do to a service, or to identities, and one of its audience. */
export const CHANGE_KINDS = ['visible', 'hidden', 'renamed', 'allowed', 'denied'] as const
/** One of {@link CHANGE_KINDS}. */
export type ChangeKind = (typeof CHANGE_KINDS)[number]

/** One thing that becomes otherwise. */
export interface RuleChangeItem {
  readonly kind: ChangeKind
  /** `namespace/name`, or `identity` and a pattern. */
  readonly subject: string
  /** Its name there; of what is renamed the new one. */
  readonly name?: string
  /** Of what is renamed: its name before. */
  readonly was?: string
  /** Who of what stays visible may call it now (allowed), or no more (denied): paths, `port NAME`, `namespace NAME`. */
  readonly who: readonly string[]
}

/** What becomes otherwise for one of the audience. */
export interface PeerChanges {
  /** A relationship's name, or `self`. */
  readonly peer: string
  readonly counts: Readonly<Record<ChangeKind, number>>
  /** The first of them. */
  readonly items: readonly RuleChangeItem[]
}

/** Everything that a change of rules does, per peer; peers for whom nothing changes are left out. */
export interface RuleChanges {
  readonly peers: readonly PeerChanges[]
  /** Whether every service was looked at; a change of enormous reach is sampled. */
  readonly complete: boolean
}

/** A rule before and after its change; one of them is undefined when it is made or deleted. */
export interface ChangeOfRule {
  readonly before: Rule | undefined
  readonly after: Rule | undefined
}

/** Services that are compared for one answer: some 40 ms. */
const MAX_COMPARED = 10_000
/** Items that an answer names for one peer. */
const MAX_ITEMS = 20

/**
 * What becomes visible, hidden, renamed, allowed or denied between two snapshots that differ by one rule.
 *
 * Relationships that are not active show nothing before and after, so they have no changes.
 */
export function changesBetween(
  { before, after, at }: { readonly before: Snapshot; readonly after: Snapshot; readonly at: Date },
  change: ChangeOfRule,
): RuleChanges {
  const rules = [change.before, change.after].filter((rule) => rule !== undefined)
  const peers = [...new Set(rules.flatMap((rule) => audienceOf(after, rule)))].filter(
    (peer) => peer === 'self' || peer.state === 'active',
  )
  const most = Math.max(1, Math.floor(MAX_COMPARED / Math.max(1, peers.length)))
  let complete = true
  const found = peers.map((peer) => {
    const subjects = subjectsOfAny(after, rules, peer)
    if (subjects.length > most) complete = false
    const items = [
      ...identityItems({ before, after, at }, rules, peer),
      ...subjects.slice(0, most).flatMap((service) => {
        const ask = { service, peer, direction: rules[0]?.direction ?? 'export', at }
        return itemsOf(service, stateOf(before, ask), stateOf(after, ask))
      }),
    ]
    return { peer: peerTitle(peer), counts: countsOf(items), items: items.slice(0, MAX_ITEMS) }
  })
  return { peers: found.filter(({ items }) => items.length > 0), complete }
}

function subjectsOfAny(snapshot: Snapshot, rules: readonly Rule[], peer: Peer): SnapshotService[] {
  const [first, second] = rules
  if (first === undefined) return []
  const found = subjectsOf(snapshot, first, peer)
  if (second === undefined) return found
  const { subject } = first
  const more = subjectsOf(snapshot, second, peer)
  if (subject.kind === 'identity') return more
  return [...found, ...more.filter((service) => !isNamed(subject, service))]
}

interface Seen {
  readonly name: string
  /** Undefined while it is not visible. */
  readonly terms: Terms | undefined
}

function stateOf(
  snapshot: Snapshot,
  ask: {
    readonly service: SnapshotService
    readonly peer: Peer
    readonly direction: Rule['direction']
    readonly at: Date
  },
): Seen {
  const { service, at } = ask
  const scene = sceneWith(ask.direction, ask.peer)
  const half = openHalfOf(snapshot, scene, { subject: service, labels: service.labels, at })
  const { allow, deny } = judge(snapshot.rules, half)
  const isVisible = allow !== undefined && deny === undefined
  return {
    name: serviceKey(scene.kind === 'within' ? service : aliased(service, allow?.rule.as)),
    terms: isVisible ? termsOf(snapshot.rules, half, service.ports) : undefined,
  }
}

function itemsOf(service: SnapshotService, before: Seen, after: Seen): RuleChangeItem[] {
  const subject = serviceKey(service)
  const { name } = after
  if (before.terms === undefined && after.terms === undefined) return []
  if (before.terms === undefined)
    return [{ kind: 'visible', subject, name, who: whoOf(after.terms) }]
  if (after.terms === undefined) return [{ kind: 'hidden', subject, name: before.name, who: [] }]
  const [was, now] = [whoOf(before.terms), whoOf(after.terms)]
  const [keptOut, stillOut] = [before.terms.refused, after.terms.refused]
  const allowed = [...beyond(now, was), ...beyond(keptOut, stillOut)]
  const denied = [...beyond(was, now), ...beyond(stillOut, keptOut)]
  return [
    ...(before.name === name
      ? []
      : [{ kind: 'renamed' as const, subject, name, was: before.name, who: [] }]),
    ...(allowed.length === 0 ? [] : [{ kind: 'allowed' as const, subject, name, who: allowed }]),
    ...(denied.length === 0 ? [] : [{ kind: 'denied' as const, subject, name, who: denied }]),
  ]
}

function whoOf({ callers, ports, visibleTo }: Terms = NO_TERMS): string[] {
  return [
    ...callers,
    ...ports.map(({ name }) => `port ${name}`),
    ...visibleTo.map((namespace) => `namespace ${namespace}`),
  ]
}

/** Which identities a peer may be shown, or is not heard with, before and after. */
function identityItems(
  { before, after, at }: { readonly before: Snapshot; readonly after: Snapshot; readonly at: Date },
  rules: readonly Rule[],
  peer: Peer,
): RuleChangeItem[] {
  const [rule] = rules.filter(({ subject }) => subject.kind === 'identity')
  if (rule === undefined || peer === 'self') return []
  const { direction } = rule
  const patterns = (snapshot: Snapshot, effect: Rule['effect']) =>
    identityPatterns(snapshot, { direction, effect, peer, at })
  const [shown, shows] = [patterns(before, 'allow'), patterns(after, 'allow')]
  const [kept, keeps] = [patterns(before, 'deny'), patterns(after, 'deny')]
  return [
    ...identityItemsOf('allowed', [...without(shows, shown), ...without(kept, keeps)]),
    ...identityItemsOf('denied', [...without(shown, shows), ...without(keeps, kept)]),
  ]
}

function identityItemsOf(kind: ChangeKind, patterns: readonly string[]): RuleChangeItem[] {
  return patterns.map((pattern) => ({ kind, subject: `identity ${pattern}`, who: [] }))
}

function identityPatterns(
  snapshot: Snapshot,
  wanted: Pick<Rule, 'direction' | 'effect'> & { readonly peer: Peer; readonly at: Date },
): readonly string[] {
  const found = [...snapshot.rules.byId.values()].flatMap((rule) => {
    const { subject, direction, effect } = rule
    if (subject.kind !== 'identity') return []
    if (direction !== wanted.direction || effect !== wanted.effect) return []
    if (hasEnded(rule, wanted.at)) return []
    return audienceOf(snapshot, rule).includes(wanted.peer) ? [subject.path.text] : []
  })
  return merged(found)
}

/** Patterns that no other covers; of one that others lie in, what is left: `* but /ns/web/*`. */
function beyond(patterns: readonly string[], others: readonly string[]): string[] {
  return patterns
    .filter((pattern) => !others.some((other) => covers(other, pattern)))
    .map((pattern) => {
      const inside = others.filter((other) => covers(pattern, other))
      return inside.length === 0 ? pattern : `${pattern} but ${inside.join(', ')}`
    })
}

function covers(pattern: string, other: string): boolean {
  if (pattern === other) return true
  if (pattern === '*') return other.startsWith('/')
  return pattern.endsWith('*') && other.startsWith(pattern.slice(0, -1))
}

function without(texts: readonly string[], others: readonly string[]): string[] {
  return texts.filter((text) => !others.includes(text))
}

function countsOf(items: readonly RuleChangeItem[]): Record<ChangeKind, number> {
  const counts = { visible: 0, hidden: 0, renamed: 0, allowed: 0, denied: 0 }
  for (const { kind } of items) counts[kind] += 1
  return counts
}
