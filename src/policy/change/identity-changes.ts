import { type Snapshot } from '../snapshot/snapshot.ts'
import { type Applicable, callChanges } from './call-changes.ts'
import { EVERYTHING, narrowingOf } from './narrowing.ts'
import { type Around, type RuleChangeItem, type TouchedPeer } from './rule-change.ts'
import { isFor } from '../decision/rule-reach.ts'
import { hasEnded, type Rule } from '../rule/rule.ts'

/** Which identities a peer may be shown, or is heard with, that it may not before, and the other way round. */
export function identityChanges(
  { before, after, at }: Around,
  { rules, peer, direction }: TouchedPeer,
): RuleChangeItem[] {
  if (!rules.some(({ subject }) => subject.kind === 'identity')) return []
  const [was, is] = [before, after].map((snapshot) =>
    rulesFor(snapshot, { peer, direction, at }),
  ) as [Applicable, Applicable]
  const changes = callChanges(was, is)
  return (['allowed', 'denied'] as const).flatMap((kind) =>
    changes[kind].map(([pattern = '*', ...who]) => ({ kind, subject: `identity ${pattern}`, who })),
  )
}

function rulesFor(
  snapshot: Snapshot,
  { peer, direction, at }: Omit<TouchedPeer, 'rules'> & Pick<Around, 'at'>,
): Applicable {
  const rules = identityRulesOf(snapshot).filter(
    (rule) => rule.direction === direction && !hasEnded(rule, at) && isFor(snapshot, rule, peer),
  )
  const narrowings = (effect: Rule['effect']) =>
    rules.filter((rule) => rule.effect === effect).map(narrowingOf)
  // A peer's identities count unless a rule keeps them out.
  const allows = direction === 'import' ? [EVERYTHING] : narrowings('allow')
  return { allows, denies: narrowings('deny') }
}

const KNOWN = new WeakMap<Snapshot['rules'], readonly Rule[]>()

function identityRulesOf({ rules }: Snapshot): readonly Rule[] {
  const known = KNOWN.get(rules)
  if (known !== undefined) return known
  const found = [...rules.byId.values()].filter(({ subject }) => subject.kind === 'identity')
  KNOWN.set(rules, found)
  return found
}
