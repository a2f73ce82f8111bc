import { type WhoamiView } from '../../access/api.ts'
import { type DeletedRuleView, type RuleOutcomeView } from '../../policy/change/rule-effect-api.ts'
import { type Cli } from '../cli.ts'
import { sayEffect } from '../commands/rule-text.ts'
import { isJsonRecord, type JsonRecord } from './json-schema.ts'
import { type Kind, type Reference, type Wanted } from './kind.ts'

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
  other: ofNamespaces,
  endsById: true,
  effect: (answer) => sayEffect(answer as unknown as RuleOutcomeView | DeletedRuleView),
  replaced: ['subject', 'audience', 'as'],
  refersTo: refersTo,
}

// Whose rule it is was settled when it was made, by its author's namespaces if the document said nothing.
function asOwned(body: JsonRecord, { ownerScope }: JsonRecord): JsonRecord {
  return ownerScope === undefined || ownerScope === null ? body : { ownerScope, ...body }
}

/**
 * Who may write rules of the whole mesh means one by a document that names no owner. A rule of that name that somebody
 * made for their namespaces would take what it says, and they could take it back.
 */
async function ofNamespaces(
  cli: Cli,
  { mesh, body, view }: Wanted & { readonly view: JsonRecord },
): Promise<string | undefined> {
  const { ownerScope: owners } = view
  if (!Array.isArray(owners) || Array.isArray(body['ownerScope'])) return undefined
  const { grants } = await cli.get<WhoamiView>('/whoami')
  const isOfWhole = grants.some(
    ({ role, meshId = mesh, clusters, namespaces }) =>
      WRITERS.has(role) && meshId === mesh && (clusters ?? namespaces) === undefined,
  )
  if (!isOfWhole) return undefined
  return `a rule of this name belongs to namespaces ${owners.join(', ')}, whose developers may change it; write ownerScope if that one is meant, or give the document a name of its own`
}

/** Roles that write rules, of a whole mesh where they have all of it. */
const WRITERS: ReadonlySet<string> = new Set(['platform-admin', 'mesh-admin', 'developer'])

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
