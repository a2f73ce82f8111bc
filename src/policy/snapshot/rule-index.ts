import { type ShardedMap } from './sharded-map.ts'
import { type PatternMap, visitFitting } from './pattern-map.ts'
import { type Direction, type Effect, type Rule, type Subject } from '../rule/rule.ts'
import { ruleLine } from '../rule/rule-line.ts'

/** A rule at one of the places where the index holds it. */
export interface PlacedRule {
  readonly rule: Rule
  readonly line: string
  /** Higher is earlier in the total order of {@link comparePlaced}, which ages and ids complete. */
  readonly weight: number
  readonly createdAtMs: number
  /** Unix milliseconds from which it no longer applies; `Infinity` when it never ends. */
  readonly endsAtMs: number
}

/** A service as rules name one. */
export interface SubjectName {
  readonly namespace: string
  readonly name: string
}

/** Rules of one audience and one subject pattern, by effect, first in the total order first. */
export type Bucket = Readonly<Record<Effect, PlacedRule[]>>

/** Rules of one audience: those of services by namespace and name, those of identities by path. */
export interface SubjectIndex {
  readonly services: PatternMap<PatternMap<Bucket>>
  readonly identities: PatternMap<Bucket>
}

/** Rules by audience; those for all peers and for the mesh itself stand apart. */
export interface AudienceIndex {
  readonly all: SubjectIndex
  readonly self: SubjectIndex
  readonly peers: Map<string, SubjectIndex>
  readonly groups: Map<string, SubjectIndex>
}

/**
 * Rules by direction, then audience, then subject, so that one question meets only those that fit.
 *
 * Built and changed in build-rule-index.ts.
 */
export interface RuleIndex {
  readonly byDirection: Readonly<Record<Direction, AudienceIndex>>
  readonly byId: ShardedMap<Rule>
  /** The rules that rename what they allow, by id; without any a name needs no look-up. */
  readonly aliases: ReadonlyMap<string, Rule>
}

/** Which rules to look at: those for a relationship, or for the mesh itself when none is named. */
export interface RuleQuestion {
  readonly direction: Direction
  readonly relationship: string | undefined
  /** The groups whose member the relationship, or the mesh itself, is. */
  readonly groups: readonly string[]
  /** A service's name, or the path of an identity. */
  readonly subject: SubjectName | string
}

/** How specific an audience is; the narrowest through which a rule is met counts. */
const AUDIENCE_RANK = { all: 0, groups: 1, peers: 2, self: 2 } as const

/** Calls `visit` with the rules of that direction whose audience and subject fit, bucket by bucket. */
export function visitBuckets(
  index: RuleIndex,
  question: RuleQuestion,
  visit: (bucket: Bucket) => void,
): void {
  const { relationship, groups, subject } = question
  const audiences = index.byDirection[question.direction]
  visitSubjects(relationship === undefined ? audiences.self : audiences.all, subject, visit)
  if (relationship !== undefined) {
    visitSubjects(audiences.peers.get(relationship), subject, visit)
  }
  for (const group of groups) visitSubjects(audiences.groups.get(group), subject, visit)
}

/**
 * The total order from which an allowed service takes its name and the answer its rule: imports of the mesh before
 * those of a namespace's author, then priority, audience, subject, callers, age, id. It never changes a decision.
 */
export function comparePlaced(a: PlacedRule, b: PlacedRule): number {
  return b.weight - a.weight || a.createdAtMs - b.createdAtMs || (a.rule.id < b.rule.id ? -1 : 1)
}

function visitSubjects(
  index: SubjectIndex | undefined,
  subject: SubjectName | string,
  visit: (bucket: Bucket) => void,
): void {
  if (index === undefined) return
  if (typeof subject === 'string') {
    visitFitting(index.identities, subject, visit)
    return
  }
  visitFitting(index.services, subject.namespace, (names) => {
    visitFitting(names, subject.name, visit)
  })
}

/** A rule as it stands among those of one sort of audience. */
export function place(rule: Rule, audience: keyof typeof AUDIENCE_RANK): PlacedRule {
  return {
    rule,
    line: ruleLine(rule),
    weight: weightOf(rule, AUDIENCE_RANK[audience]),
    createdAtMs: rule.createdAt.getTime(),
    endsAtMs: rule.expiresAt?.getTime() ?? Infinity,
  }
}

/** More than the weights of two rules can differ by what else tells them apart. */
const AFTER_ALL = 1e9

// Digits of one number, the most telling first: audience 0 to 2, subject 0 to 10, callers 0 to 1. What a peer's service
// is called here is for the whole mesh, so an import of some namespaces' author, who names nothing, comes after all others.
function weightOf(rule: Rule, audienceRank: number): number {
  const { priority, subject, audience, direction, ownerScope } = rule
  const callersRank = audience.callers === undefined ? 0 : 1
  const isOwned = direction === 'import' && ownerScope !== undefined
  const weight = ((priority * 3 + audienceRank) * 11 + subjectRank(subject)) * 2 + callersRank
  return isOwned ? weight - AFTER_ALL : weight
}

// An exact name, then labels, then a namespace, then everything; ports make any of them narrower.
function subjectRank(subject: Subject): number {
  if (subject.kind === 'identity') return subject.path.wild ? 0 : 5
  const { namespace, name, labels } = subject
  if (!name.wild) return namespace.wild ? 9 : 10
  if (labels !== undefined) return namespace.literal === '' && namespace.wild ? 7 : 8
  if (!namespace.wild) return name.literal === '' ? 2 : 3
  return namespace.literal === '' && name.literal === '' ? 0 : 1
}
