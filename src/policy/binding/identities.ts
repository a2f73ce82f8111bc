import { type OwnerScope } from '../../access/owner-scope.ts'
import { merged } from '../decision/terms.ts'
import { type Pattern } from '../rule/pattern.ts'
import { audienceOf } from '../decision/rule-reach.ts'
import { type Effect, hasEnded, type Rule } from '../rule/rule.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'
import { type RefusedIdentitiesView, type ShownIdentitiesView } from './identities-api.ts'

type Patterns = ShownIdentitiesView['shown']

/**
 * Which of our identities a peer may meet: what rules show it, and what of that they keep back. None while the
 * relationship is not active. Who reads for some namespaces is told of patterns that identities of theirs can fit.
 */
export function shownIdentities(
  snapshot: Snapshot,
  relationship: string,
  at: Date,
): ShownIdentitiesView {
  const rules = identityRules(snapshot, { relationship, direction: 'export', at }).filter((rule) =>
    isOfReader(snapshot.ownerScope, rule.path),
  )
  return { shown: patternsOf(rules, 'allow'), refused: patternsOf(rules, 'deny') }
}

/** Which of a peer's identities count for nothing here. None while the relationship is not active, as no other does. */
export function refusedIdentities(
  snapshot: Snapshot,
  relationship: string,
  at: Date,
): RefusedIdentitiesView {
  const rules = identityRules(snapshot, { relationship, direction: 'import', at })
  return { refused: patternsOf(rules, 'deny') }
}

type IdentityRule = Pick<Rule, 'effect' | 'clusters'> & { readonly path: Pattern }

function identityRules(
  snapshot: Snapshot,
  {
    relationship,
    direction,
    at,
  }: Pick<Rule, 'direction'> & { readonly relationship: string; readonly at: Date },
): IdentityRule[] {
  const peer = snapshot.relationships.get(relationship)
  if (peer?.state !== 'active') return []
  return [...snapshot.rules.byId.values()].flatMap((rule) => {
    const { subject, effect, clusters } = rule
    if (subject.kind !== 'identity' || rule.direction !== direction) return []
    if (hasEnded(rule, at) || !audienceOf(snapshot, rule).includes(peer)) return []
    return [{ effect, clusters, path: subject.path }]
  })
}

/** Patterns of one effect by path, without those that another one covers. */
function patternsOf(rules: readonly IdentityRule[], effect: Effect): Patterns {
  const wanted = rules.filter((rule) => rule.effect === effect)
  const everywhere = merged(
    wanted.flatMap(({ clusters, path }) => (clusters === undefined ? [path.text] : [])),
  )
  const somewhere = wanted.flatMap(({ clusters, path: { text } }) => {
    const isCovered = everywhere.includes(text) || !merged([...everywhere, text]).includes(text)
    return clusters === undefined || isCovered ? [] : [{ path: text, clusters: [...clusters] }]
  })
  return [...everywhere.map((path) => ({ path, clusters: null })), ...somewhere]
}

function isOfReader(scope: OwnerScope, { text, literal, wild }: Pattern): boolean {
  if (scope === undefined) return true
  return scope.some((namespace) => {
    const own = `/ns/${namespace}/`
    return text.startsWith(own) || (wild && own.startsWith(literal))
  })
}
