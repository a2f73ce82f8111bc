import { command } from '../../errors.ts'
import { type Callers } from '../rule/callers.ts'
import { audienceOf } from '../decision/rule-reach.ts'
import { deleteCommand, type LintFinding, onRule } from './lint-finding.ts'
import { emptyPatternMap, entryOf, type PatternMap, visitFitting } from '../snapshot/pattern-map.ts'
import { type Pattern } from '../rule/pattern.ts'
import { hasEnded, type Rule, ruleArgument, ruleTitle } from '../rule/rule.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'

/** Denies by the beginning of what they speak of, so that an allow is compared with few. */
export interface Denies {
  readonly services: PatternMap<Rule[]>
  readonly identities: PatternMap<Rule[]>
}

/** The denies that can lie wholly over an allow at a moment: in force, and narrowed by callers at most. */
export function collectDenies(rules: Iterable<Rule>, at: Date): Denies {
  const denies: Denies = { services: emptyPatternMap(), identities: emptyPatternMap() }
  for (const rule of rules) {
    if (rule.effect !== 'deny' || hasEnded(rule, at) || isNarrow(rule)) continue
    const { subject } = rule
    if (subject.kind === 'identity') entryOf(denies.identities, subject.path, () => []).push(rule)
    else entryOf(denies.services, subject.namespace, () => []).push(rule)
  }
  return denies
}

/** An allow that changes nothing, because one deny lies over all of it. */
export function lintShadow(rule: Rule, denies: Denies, snapshot: Snapshot): LintFinding[] {
  if (rule.effect !== 'allow') return []
  const { subject } = rule
  let over: Rule | undefined
  const look = (found: readonly Rule[]): void => {
    over ??= found.find((deny) => covers(deny, rule, snapshot))
  }
  if (subject.kind === 'identity') visitFitting(denies.identities, subject.path.literal, look)
  else visitFitting(denies.services, subject.namespace.literal, look)
  if (over === undefined) return []
  const tells = `rule ${ruleTitle(over)} denies all of it, and one deny outweighs every allow`
  const next = [deleteCommand(rule), command`entente rule show ${ruleArgument(over)}`]
  return [onRule('rule.shadowed', rule, { tells, next })]
}

function isNarrow({ subject, clusters, visibleTo }: Rule): boolean {
  if (clusters !== undefined || visibleTo !== undefined) return true
  return subject.kind === 'service' && (subject.ports !== undefined || subject.labels !== undefined)
}

function covers(deny: Rule, allow: Rule, snapshot: Snapshot): boolean {
  return (
    deny.direction === allow.direction &&
    lastsAsLong(deny, allow) &&
    coversSubject(deny, allow) &&
    coversCallers(deny.audience.callers, allow.audience.callers) &&
    coversAudience(deny, allow, snapshot)
  )
}

function lastsAsLong(deny: Rule, allow: Rule): boolean {
  if (deny.expiresAt === undefined) return true
  return allow.expiresAt !== undefined && allow.expiresAt <= deny.expiresAt
}

function coversSubject({ subject: one }: Rule, { subject: other }: Rule): boolean {
  if (one.kind === 'identity') return other.kind === 'identity' && isWithin(one.path, other.path)
  if (other.kind === 'identity') return false
  return isWithin(one.namespace, other.namespace) && isWithin(one.name, other.name)
}

function coversCallers(deny: Callers | undefined, allow: Callers | undefined): boolean {
  if (deny === undefined) return true
  if (allow === undefined) return false
  return coversAll(deny.namespaces, allow.namespaces) && coversAll(deny.paths, allow.paths)
}

function coversAll(outer: readonly Pattern[], inner: readonly Pattern[]): boolean {
  return inner.every((one) => outer.some((other) => isWithin(other, one)))
}

function coversAudience(deny: Rule, allow: Rule, snapshot: Snapshot): boolean {
  // All are also those who come later.
  if (allow.audience.kind === 'all' && deny.audience.kind !== 'all') return false
  const denied = new Set(audienceOf(snapshot, deny))
  return audienceOf(snapshot, allow).every((peer) => denied.has(peer))
}

/** Whether whatever fits the inner pattern fits the outer one. */
function isWithin(outer: Pattern, inner: Pattern): boolean {
  if (outer.wild) return inner.literal.startsWith(outer.literal)
  return !inner.wild && inner.literal === outer.literal
}
