import { type Labels } from '../../catalog/label.ts'
import { type CallerFacts, isMeant } from '../rule/callers.ts'
import { selects } from '../rule/label-selector.ts'
import { fits, type Pattern } from '../rule/pattern.ts'
import {
  comparePlaced,
  type PlacedRule,
  type RuleIndex,
  type RuleQuestion,
  visitBuckets,
} from '../snapshot/rule-index.ts'
import { type Effect, type Rule } from '../rule/rule.ts'

/** A question about one half of a decision; what is undefined is left open. */
export interface HalfQuestion extends RuleQuestion {
  readonly labels: Labels
  /** Absent for visibility. */
  readonly caller: CallerFacts | undefined
  /** The name of a port. */
  readonly port: string | undefined
  /** A cluster of ours; `null` = of a caller of whom it is not known, so what is decided must hold in any. */
  readonly cluster: string | null | undefined
  /** The namespace of ours in which the consumer runs; `null` = known to be in none. */
  readonly namespace: string | null | undefined
  readonly atMs: number
}

/** What the rules of one half say. */
export interface Verdict {
  /** The first applicable allow in the total order. */
  readonly allow: PlacedRule | undefined
  /** The first applicable deny. */
  readonly deny: PlacedRule | undefined
}

/** Allowed by at least one applicable allow and no applicable deny; the order of rules has no say. */
export function judge(index: RuleIndex, question: HalfQuestion): Verdict {
  let allow: PlacedRule | undefined
  let deny: PlacedRule | undefined
  visitBuckets(index, question, (bucket) => {
    allow = firstApplicable(bucket.allow, question, allow)
    deny = firstApplicable(bucket.deny, question, deny)
  })
  return { allow, deny }
}

/** What the rules of one half say, and whether any keeps out somebody whom the question leaves open. */
export interface OpenVerdict extends Verdict {
  readonly keepsSomeOut: boolean
}

/** As {@link judge}, for a question that leaves everything open; one pass, since lists ask it of every service. */
export function judgeOpen(index: RuleIndex, question: HalfQuestion): OpenVerdict {
  let allow: PlacedRule | undefined
  let deny: PlacedRule | undefined
  let keepsSomeOut = false
  visitBuckets(index, question, (bucket) => {
    allow = firstApplicable(bucket.allow, question, allow)
    if (bucket.deny.length === 0) return
    deny = firstApplicable(bucket.deny, question, deny)
    keepsSomeOut ||= bucket.deny.some((one) => mayApply(one, question))
  })
  return { allow, deny, keepsSomeOut }
}

/** Every applicable rule of an effect once, first in the total order first. */
export function applicableRules(
  index: RuleIndex,
  question: HalfQuestion,
  effect: Effect,
): PlacedRule[] {
  const found = new Map<string, PlacedRule>()
  visitBuckets(index, question, (bucket) => {
    for (const placed of bucket[effect]) {
      if (!applies(placed, question)) continue
      const before = found.get(placed.rule.id)
      if (before === undefined || comparePlaced(placed, before) < 0)
        found.set(placed.rule.id, placed)
    }
  })
  return [...found.values()].toSorted(comparePlaced)
}

/**
 * Every rule that lets in, or keeps out, at least somebody whom the question leaves open.
 *
 * In no order, and a rule may be there twice: found in one pass, since lists ask it of every service.
 */
export function openRules(
  index: RuleIndex,
  question: HalfQuestion,
): Readonly<Record<'allows' | 'denies', readonly Rule[]>> {
  const allows: Rule[] = []
  const denies: Rule[] = []
  visitBuckets(index, question, (bucket) => {
    for (const one of bucket.allow) if (mayApply(one, question)) allows.push(one.rule)
    for (const one of bucket.deny) if (mayApply(one, question)) denies.push(one.rule)
  })
  return { allows, denies }
}

// Buckets are in order, so the search ends at the first that applies or that could not be earlier than the best.
function firstApplicable(
  rules: readonly PlacedRule[],
  question: HalfQuestion,
  best: PlacedRule | undefined,
): PlacedRule | undefined {
  for (const placed of rules) {
    if (best !== undefined && comparePlaced(best, placed) < 0) return best
    if (applies(placed, question)) return placed
  }
  return best
}

/** What becomes of a rule that narrows what the question leaves open. */
type Unsaid = 'fits' | 'misses'

// What a question leaves open is decided for somebody and not for everybody: an allow that narrows it counts, since
// it lets some in, and a deny that narrows it does not, since it keeps only some out. So whatever may be called can
// be seen, and a narrower question is never denied less.
function applies(placed: PlacedRule, question: HalfQuestion): boolean {
  return meets(placed, question, placed.rule.effect === 'allow' ? 'fits' : 'misses')
}

/** Whether a rule applies to at least somebody whom the question leaves open. */
function mayApply(placed: PlacedRule, question: HalfQuestion): boolean {
  return meets(placed, question, 'fits')
}

function meets({ rule, endsAtMs }: PlacedRule, question: HalfQuestion, unsaid: Unsaid): boolean {
  if (question.atMs >= endsAtMs) return false
  const { subject } = rule
  if (subject.kind === 'service' && subject.labels !== undefined) {
    if (!selects(subject.labels, question.labels)) return false
  }
  return isInside(rule, question, unsaid)
}

function isInside(rule: Rule, question: HalfQuestion, unsaid: Unsaid): boolean {
  const { subject, audience, visibleTo } = rule
  const { caller, port } = question
  if (audience.callers !== undefined) {
    if (!(caller === undefined ? unsaid === 'fits' : isMeant(audience.callers, caller))) {
      return false
    }
  }
  if (subject.kind === 'service' && subject.ports !== undefined) {
    if (!(port === undefined ? unsaid === 'fits' : subject.ports.includes(port))) return false
  }
  if (!isThere(rule, question, unsaid)) return false
  return visibleTo === undefined || isVisible(visibleTo, question, unsaid)
}

// A caller of whom it is not known where it runs may be in any cluster, or say so: it is let in only where it would
// be everywhere, and kept out where it would be anywhere.
function isThere({ clusters, effect }: Rule, { cluster }: HalfQuestion, unsaid: Unsaid): boolean {
  if (clusters === undefined) return true
  if (cluster === undefined) return unsaid === 'fits'
  return cluster === null ? effect === 'deny' : clusters.includes(cluster)
}

function isVisible(
  visibleTo: readonly Pattern[],
  { namespace }: HalfQuestion,
  unsaid: Unsaid,
): boolean {
  if (namespace === undefined) return unsaid === 'fits'
  return namespace !== null && visibleTo.some((pattern) => fits(pattern, namespace))
}
