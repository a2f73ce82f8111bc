import { emptyPatternMap, entryOf, type PatternMap, visitFitting } from './pattern-map.ts'
import { type Direction, type Effect, type Rule, ruleLine, type SubjectPattern } from './rule.ts'

/** A rule in its place among the others of a snapshot. */
export interface PlacedRule {
  readonly rule: Rule
  readonly line: string
  /** Place in the total order of {@link compareRules}; 0 is first. */
  readonly order: number
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

type SubjectIndex = PatternMap<PatternMap<Bucket>>

interface AudienceIndex {
  readonly all: SubjectIndex
  readonly self: SubjectIndex
  readonly peers: Map<string, SubjectIndex>
}

/** Rules by direction, then audience, then namespace and name, so that one question meets only those that fit. */
export interface RuleIndex {
  readonly byDirection: Readonly<Record<Direction, AudienceIndex>>
  readonly placed: readonly PlacedRule[]
}

/** Which rules to look at: the mesh itself when no relationship is named. */
export interface RuleQuestion {
  readonly direction: Direction
  readonly relationship: string | undefined
  readonly subject: SubjectName
}

/** Builds the index; the order of `rules` has no say. */
export function buildRuleIndex(rules: readonly Rule[]): RuleIndex {
  const byDirection = { export: emptyAudienceIndex(), import: emptyAudienceIndex() }
  const placed = rules.toSorted(compareRules).map((rule, order) => ({
    rule,
    line: ruleLine(rule),
    order,
    endsAtMs: rule.expiresAt?.getTime() ?? Infinity,
  }))
  for (const one of placed) {
    for (const subjects of audiencesOf(byDirection[one.rule.direction], one.rule)) {
      const { namespace, name } = one.rule.subject
      entryOf(entryOf(subjects, namespace, emptyNames), name, emptyBucket)[one.rule.effect].push(
        one,
      )
    }
  }
  return { byDirection, placed }
}

/** Calls `visit` with the rules of that direction whose audience and subject fit, bucket by bucket. */
export function visitBuckets(
  index: RuleIndex,
  question: RuleQuestion,
  visit: (bucket: Bucket) => void,
): void {
  const { relationship, subject } = question
  const audiences = index.byDirection[question.direction]
  const ofNamespace = (names: PatternMap<Bucket>): void => {
    visitFitting(names, subject.name, visit)
  }
  if (relationship === undefined) {
    visitFitting(audiences.self, subject.namespace, ofNamespace)
    return
  }
  visitFitting(audiences.all, subject.namespace, ofNamespace)
  const peer = audiences.peers.get(relationship)
  if (peer !== undefined) visitFitting(peer, subject.namespace, ofNamespace)
}

/**
 * The total order from which an allowed service takes its attributes: priority, audience, subject, callers, age, id.
 *
 * It never changes a decision; it names the rule that an answer cites, and later aliases come from it.
 */
export function compareRules(a: Rule, b: Rule): number {
  return (
    b.priority - a.priority ||
    audienceRank(b) - audienceRank(a) ||
    subjectRank(b.subject) - subjectRank(a.subject) ||
    callersRank(b) - callersRank(a) ||
    a.createdAt.getTime() - b.createdAt.getTime() ||
    (a.id < b.id ? -1 : 1)
  )
}

function audienceRank({ audience }: Rule): number {
  return audience.kind === 'all' ? 0 : 1
}

function subjectRank({ namespace, name }: SubjectPattern): number {
  if (!name.wild) return namespace.wild ? 4 : 5
  if (!namespace.wild) return name.literal === '' ? 2 : 3
  return namespace.literal === '' && name.literal === '' ? 0 : 1
}

function callersRank({ audience }: Rule): number {
  return audience.callers === undefined ? 0 : 1
}

function audiencesOf(index: AudienceIndex, { audience }: Rule): SubjectIndex[] {
  if (audience.kind !== 'peers') return [index[audience.kind]]
  return audience.relationships.map((name) => {
    const present = index.peers.get(name)
    if (present !== undefined) return present
    const made: SubjectIndex = emptyPatternMap()
    index.peers.set(name, made)
    return made
  })
}

function emptyAudienceIndex(): AudienceIndex {
  return { all: emptyPatternMap(), self: emptyPatternMap(), peers: new Map() }
}

function emptyNames(): PatternMap<Bucket> {
  return emptyPatternMap()
}

function emptyBucket(): Bucket {
  return { allow: [], deny: [] }
}
