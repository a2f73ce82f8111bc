import { type OwnerScope } from '../../access/owner-scope.ts'
import { changeRuleIndex } from '../snapshot/build-rule-index.ts'
import { fits } from './pattern.ts'
import { type Rule } from './rule.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'

/**
 * A snapshot as whoever has these namespaces sees it: without the imports of others, which decide nothing there, and
 * telling no names of others' services.
 *
 * Imports that rename stay, since a peer's service has one name in the mesh.
 */
export function seenBy(snapshot: Snapshot, ownerScope: OwnerScope): Snapshot {
  if (ownerScope === undefined) return snapshot
  const others = [...snapshot.rules.byId.values()].filter((rule) => isOfOthers(rule, ownerScope))
  const without = new Map(others.map(({ id }) => [id, undefined]))
  return { ...snapshot, ownerScope, rules: changeRuleIndex(snapshot.rules, without) }
}

function isOfOthers({ direction, as, visibleTo }: Rule, own: readonly string[]): boolean {
  if (direction === 'export' || as !== undefined || visibleTo === undefined) return false
  return !visibleTo.some((pattern) => own.some((namespace) => fits(pattern, namespace)))
}
