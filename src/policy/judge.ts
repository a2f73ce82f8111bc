import { type PlacedRule, type RuleIndex, type RuleQuestion, visitBuckets } from './rule-index.ts'
import { type CallerFacts, isMeant } from './rule.ts'

/** A question about one half of a decision. */
export interface HalfQuestion extends RuleQuestion {
  /** Absent for visibility. */
  readonly caller: CallerFacts | undefined
  readonly atMs: number
}

/** What the rules of one half say. */
export interface Verdict {
  /** The first applicable allow in the total order; attributes come from it. */
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

/** Every applicable deny, first in the total order first. */
export function applicableDenies(index: RuleIndex, question: HalfQuestion): PlacedRule[] {
  const denies: PlacedRule[] = []
  visitBuckets(index, question, (bucket) => {
    denies.push(...bucket.deny.filter((placed) => applies(placed, question)))
  })
  return denies.toSorted((a, b) => a.order - b.order)
}

// Buckets are in order, so the search ends at the first that applies or that could not be earlier than the best.
function firstApplicable(
  rules: readonly PlacedRule[],
  question: HalfQuestion,
  best: PlacedRule | undefined,
): PlacedRule | undefined {
  for (const placed of rules) {
    if (best !== undefined && best.order < placed.order) return best
    if (applies(placed, question)) return placed
  }
  return best
}

// Without a caller an allow for some counts, since somebody there may call, and a deny for some does not, since
// others may; so whatever may be called can be seen.
function applies({ rule, endsAtMs }: PlacedRule, { caller, atMs }: HalfQuestion): boolean {
  if (atMs >= endsAtMs) return false
  const { callers } = rule.audience
  if (callers === undefined) return true
  return caller === undefined ? rule.effect === 'allow' : isMeant(callers, caller)
}
