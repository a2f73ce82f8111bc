import { ShardedMap } from './sharded-map.ts'
import { copyOf, deleteEntry, emptyPatternMap, entryOf, isEmpty, setEntry } from './pattern-map.ts'
import {
  type AudienceIndex,
  type Bucket,
  comparePlaced,
  place,
  type PlacedRule,
  type RuleIndex,
  type SubjectIndex,
} from './rule-index.ts'
import { type Rule, type Subject } from '../rule/rule.ts'

/** Builds the index; the order of `rules` has no say. */
export function buildRuleIndex(rules: readonly Rule[]): RuleIndex {
  return changeRuleIndex(emptyRuleIndex(), new Map(rules.map((rule) => [rule.id, rule])))
}

/**
 * The index after some rules came, changed or went (`undefined`), by id.
 *
 * Shares with the one before all parts that no changed rule belongs to; the one before stays as it was.
 */
export function changeRuleIndex(
  previous: RuleIndex,
  changes: ReadonlyMap<string, Rule | undefined>,
): RuleIndex {
  if (changes.size === 0) return previous
  const change = new IndexChange(previous)
  for (const [id, after] of changes) {
    const before = previous.byId.get(id)
    if (before !== undefined) change.remove(before)
    if (after !== undefined) change.add(after)
  }
  return { ...change.finish(), byId: previous.byId.with(changes) }
}

type Writable<T> = { -readonly [key in keyof T]: T[key] }

/** One change of an index: a part is copied before it is first changed, and in place from then on. */
class IndexChange {
  readonly #byDirection: Writable<RuleIndex['byDirection']>
  readonly #aliases: Map<string, Rule>
  readonly #own = new Set<object>()
  readonly #unsorted = new Set<Bucket>()

  constructor({ byDirection, aliases }: RuleIndex) {
    this.#byDirection = { ...byDirection }
    this.#aliases = new Map(aliases)
  }

  add(rule: Rule): void {
    if (rule.as !== undefined) this.#aliases.set(rule.id, rule)
    const placed = new Map<AudienceSort, PlacedRule>()
    for (const spot of spotsOf(rule)) {
      const one = placed.get(spot.sort) ?? place(rule, spot.sort)
      placed.set(spot.sort, one)
      const bucket = this.#bucketAt(this.#subjectsAt(rule, spot), rule.subject)
      bucket[rule.effect].push(one)
      this.#unsorted.add(bucket)
    }
  }

  remove(rule: Rule): void {
    this.#aliases.delete(rule.id)
    for (const spot of spotsOf(rule)) {
      const subjects = this.#subjectsAt(rule, spot)
      const bucket = this.#bucketAt(subjects, rule.subject)
      const rules = bucket[rule.effect]
      const at = rules.findIndex((placed) => placed.rule.id === rule.id)
      if (at >= 0) rules.splice(at, 1)
      if (bucket.allow.length + bucket.deny.length === 0) this.#drop(rule, { spot, subjects })
    }
  }

  /** The index without its list of rules; nothing may be added afterwards. */
  finish(): Omit<RuleIndex, 'byId'> {
    for (const bucket of this.#unsorted) {
      bucket.allow.sort(comparePlaced)
      bucket.deny.sort(comparePlaced)
    }
    return {
      byDirection: this.#byDirection,
      aliases: this.#aliases,
    }
  }

  #audiencesOf({ direction }: Rule): Writable<AudienceIndex> {
    const audiences = this.#ownOf(this.#byDirection[direction], (one) => ({ ...one }))
    this.#byDirection[direction] = audiences
    return audiences
  }

  #subjectsAt(rule: Rule, { sort, name }: Spot): Writable<SubjectIndex> {
    const audiences = this.#audiencesOf(rule)
    if (sort === 'all' || sort === 'self') {
      const subjects = this.#ownOf(audiences[sort], (one) => ({ ...one }))
      audiences[sort] = subjects
      return subjects
    }
    const byName = this.#ownOf(audiences[sort], (one) => new Map(one))
    audiences[sort] = byName
    const subjects = this.#ownOf(byName.get(name) ?? emptySubjectIndex(), (one) => ({ ...one }))
    byName.set(name, subjects)
    return subjects
  }

  #bucketAt(subjects: Writable<SubjectIndex>, subject: Subject): Bucket {
    if (subject.kind === 'identity') {
      subjects.identities = this.#ownOf(subjects.identities, copyOf)
      const bucket = entryOf(subjects.identities, subject.path, emptyBucket)
      return setEntry(subjects.identities, subject.path, this.#ownOf(bucket, copyBucket))
    }
    subjects.services = this.#ownOf(subjects.services, copyOf)
    const names = this.#ownOf(
      entryOf(subjects.services, subject.namespace, emptyPatternMap<Bucket>),
      copyOf,
    )
    setEntry(subjects.services, subject.namespace, names)
    const bucket = entryOf(names, subject.name, emptyBucket)
    return setEntry(names, subject.name, this.#ownOf(bucket, copyBucket))
  }

  // What is empty goes, so that an index does not grow with rules that were there once.
  #drop(
    rule: Rule,
    { spot, subjects }: { readonly spot: Spot; readonly subjects: Writable<SubjectIndex> },
  ): void {
    const { subject } = rule
    if (subject.kind === 'identity') deleteEntry(subjects.identities, subject.path)
    else {
      const names = entryOf(subjects.services, subject.namespace, emptyPatternMap<Bucket>)
      deleteEntry(names, subject.name)
      if (isEmpty(names)) deleteEntry(subjects.services, subject.namespace)
    }
    if (spot.sort === 'all' || spot.sort === 'self') return
    if (isEmpty(subjects.services) && isEmpty(subjects.identities)) {
      this.#ownOf(this.#audiencesOf(rule)[spot.sort], (one) => new Map(one)).delete(spot.name)
    }
  }

  #ownOf<T extends object>(part: T, copy: (part: T) => T): T {
    if (this.#own.has(part)) return part
    const own = copy(part)
    this.#own.add(own)
    return own
  }
}

type AudienceSort = 'all' | 'self' | 'peers' | 'groups'

/** A place among the audiences of a direction; `name` is that of a relationship or a group. */
interface Spot {
  readonly sort: AudienceSort
  readonly name: string
}

function spotsOf({ audience: { kind, relationships, groups } }: Rule): Spot[] {
  if (kind !== 'peers') return [{ sort: kind, name: '' }]
  return [
    ...relationships.map((name) => ({ sort: 'peers' as const, name })),
    ...groups.map((name) => ({ sort: 'groups' as const, name })),
  ]
}

function emptyRuleIndex(): RuleIndex {
  return {
    byDirection: { export: emptyAudienceIndex(), import: emptyAudienceIndex() },
    byId: ShardedMap.of<Rule>([]),
    aliases: new Map(),
  }
}

function emptyAudienceIndex(): AudienceIndex {
  return {
    all: emptySubjectIndex(),
    self: emptySubjectIndex(),
    peers: new Map(),
    groups: new Map(),
  }
}

function emptySubjectIndex(): SubjectIndex {
  return { services: emptyPatternMap(), identities: emptyPatternMap() }
}

function copyBucket({ allow, deny }: Bucket): Bucket {
  return { allow: [...allow], deny: [...deny] }
}

function emptyBucket(): Bucket {
  return { allow: [], deny: [] }
}
