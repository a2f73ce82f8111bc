import { type OwnerScope } from '../../access/owner-scope.ts'
import { changeRuleIndex } from './build-rule-index.ts'
import { fits } from '../rule/pattern.ts'
import { type Rule } from '../rule/rule.ts'
import { type Snapshot } from './snapshot.ts'

/**
 * A snapshot as whoever has these namespaces sees it: without the imports of others, which decide nothing there, and
 * telling no names of others' services.
 *
 * Imports that rename stay, since a peer's service has one name in the mesh; and all rules say who keeps a name.
 */
export function seenBy(snapshot: Snapshot, ownerScope: OwnerScope): Snapshot {
  if (ownerScope === undefined) return snapshot
  const others = [...snapshot.rules.byId.values()].filter((rule) => !isSeenBy(rule, ownerScope))
  const without = new Map(others.map(({ id }) => [id, undefined]))
  const rules = changeRuleIndex(snapshot.rules, without)
  return { ...snapshot, ownerScope, rules, allRules: snapshot.rules }
}

/** A snapshot as it is with another state of one rule; `undefined` = without it. */
export function withRule(snapshot: Snapshot, id: string, rule: Rule | undefined): Snapshot {
  const changed = (rules: Snapshot['rules']) => changeRuleIndex(rules, new Map([[id, rule]]))
  const { rules, allRules } = snapshot
  return {
    ...snapshot,
    rules: changed(rules),
    ...(allRules !== undefined && { allRules: changed(allRules) }),
  }
}

/** Whether a rule is among those that {@link seenBy} leaves whoever has these namespaces. */
export function isSeenBy({ direction, as, visibleTo }: Rule, ownerScope: OwnerScope): boolean {
  if (direction === 'export' || as !== undefined || visibleTo === undefined) return true
  if (ownerScope === undefined) return true
  return visibleTo.some((pattern) => ownerScope.some((namespace) => fits(pattern, namespace)))
}
