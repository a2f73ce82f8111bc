import { type DeletedRuleView, type RuleOutcomeView } from '../../policy/rule/rule-api.ts'
import { sayEffect } from '../commands/rule-text.ts'
import { isJsonRecord, type JsonRecord } from './json-schema.ts'
import { type Kind, type Reference } from './kind.ts'

/**
 * The kind `Rule`: told by its name, so rules without one are not applied from files. What it speaks of and for
 * whom it is are replaced whole: callers that a document leaves out are not kept.
 */
export const rule: Kind = {
  kind: 'Rule',
  collection: '/meshes/{meshId}/rules',
  nameMember: 'name',
  shape: withoutNothing,
  comparable: (body, live) => withAudience(asOwned(body, live), inOrder),
  endsById: true,
  effect: (answer) => sayEffect(answer as unknown as RuleOutcomeView | DeletedRuleView),
  replaced: ['subject', 'audience', 'as'],
  refersTo: refersTo,
}

// Whose rule it is was settled when it was made, by its author's namespaces if the document said nothing.
function asOwned(body: JsonRecord, { ownerScope }: JsonRecord): JsonRecord {
  return ownerScope === undefined || ownerScope === null ? body : { ownerScope, ...body }
}

// A view says null, and lists nobody, where a document says nothing.
function withoutNothing(view: JsonRecord): JsonRecord {
  const members = Object.entries(view).filter(([, value]) => value !== null)
  return withAudience(Object.fromEntries(members), ({ callers, ...audience }) => ({
    ...audience,
    ...(isJsonRecord(callers) && {
      callers: Object.fromEntries(
        Object.entries(callers).filter(([, some]) => Array.isArray(some) && some.length > 0),
      ),
    }),
  }))
}

// Whom an audience names is a set; the service lists it by name.
function inOrder(audience: JsonRecord): JsonRecord {
  return Object.fromEntries(
    Object.entries(audience).map(([name, value]) =>
      name === 'relationships' || name === 'groups' ? [name, sorted(value)] : [name, value],
    ),
  )
}

function withAudience(body: JsonRecord, change: (audience: JsonRecord) => JsonRecord): JsonRecord {
  const { audience } = body
  return isJsonRecord(audience) ? { ...body, audience: change(audience) } : body
}

function refersTo({ audience, clusters }: JsonRecord): readonly Reference[] {
  if (!isJsonRecord(audience)) return named('Cluster', clusters)
  return [
    ...named('Relationship', audience['relationships']),
    ...named('PeerGroup', audience['groups']),
    ...named('Cluster', clusters),
  ]
}

function named(kind: string, names: unknown): Reference[] {
  const all: readonly unknown[] = Array.isArray(names) ? names : []
  return all.flatMap((name) => (typeof name === 'string' ? [{ kind, name }] : []))
}

function sorted(names: unknown): unknown {
  return Array.isArray(names) ? names.map(String).toSorted((a, b) => (a < b ? -1 : 1)) : names
}
