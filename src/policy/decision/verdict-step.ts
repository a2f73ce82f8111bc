import { ruleTitle } from '../rule/rule.ts'
import { type PlacedRule, type RuleIndex } from '../snapshot/rule-index.ts'
import { serviceKey } from '../snapshot/snapshot.ts'
import { type Step } from './answer.ts'
import { type HalfQuestion, judge, type Verdict } from './judge.ts'

/** What the rules of one half come to, as a link of the chain. */
export function verdictStep(
  index: RuleIndex,
  half: HalfQuestion,
  { allow, deny }: Verdict,
): Step & { readonly step: 'exportRule' | 'importRule' } {
  const step = half.direction === 'export' ? 'exportRule' : 'importRule'
  if (deny !== undefined) {
    const unnamed = half.cluster === null && deny.rule.clusters !== undefined
    const since = unnamed ? ', since no cluster is named' : ''
    const stands = allow === undefined ? '' : `, whatever rule ${ruleTitle(allow.rule)} allows`
    const reason = `${citation(deny)} denies it${since}${stands}`
    return { step, outcome: 'deny', reason, ...citedBy(deny) }
  }
  if (allow === undefined) return { step, outcome: 'deny', reason: silence(index, half) }
  return { step, outcome: 'allow', reason: `${citation(allow)} allows it`, ...citedBy(allow) }
}

/** A rule as reasons name it: its name, else its id, and what it says. */
export function citation({ rule, line }: Pick<PlacedRule, 'rule' | 'line'>): string {
  return `rule ${ruleTitle(rule)} (${line})`
}

function citedBy({ rule: { id, name } }: PlacedRule): Pick<Step, 'ruleId' | 'ruleName'> {
  return { ruleId: id, ...(name !== undefined && { ruleName: name }) }
}

function silence(index: RuleIndex, half: HalfQuestion): string {
  const asked = askedOf(half)
  const somewhere =
    half.cluster === null ? judge(index, { ...half, cluster: undefined }).allow : undefined
  return somewhere === undefined
    ? `no ${half.direction} rule allows ${asked}`
    : `only ${citation(somewhere)} allows ${asked}, and no cluster is named`
}

function askedOf({ direction, relationship, subject, caller, ...half }: HalfQuestion): string {
  const preposition = direction === 'export' ? 'to' : 'from'
  const what = typeof subject === 'string' ? `identity ${subject}` : serviceKey(subject)
  const whom = relationship ?? 'self'
  const { port, cluster, namespace } = half
  const narrowed = [
    ...(caller === undefined ? [] : [` for caller ${caller.path}`]),
    ...(port === undefined ? [] : [` on port ${port}`]),
    ...(cluster === undefined || cluster === null ? [] : [` in cluster ${cluster}`]),
    ...(namespace === undefined || direction === 'export' || caller !== undefined
      ? []
      : [` in namespace ${namespace}`]),
  ]
  return `${what} ${preposition} ${whom}${narrowed.join('')}`
}
