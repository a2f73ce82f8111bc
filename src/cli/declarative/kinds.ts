import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { entry, service } from './catalog-kinds.ts'
import { isJsonRecord, type JsonRecord } from './json-schema.ts'
import { type Ended, type Ending, type EndOptions, type Kind, type Reference } from './kind.ts'
import { quota } from './quota-kind.ts'
import { relationship } from './relationship-kind.ts'
import { rule } from './rule-kind.ts'
import { TOPOLOGY_KINDS } from './topology-kinds.ts'

/**
 * The kinds of documents, in the order in which they mostly depend on each other (`order.ts` sees to the rest): a kind
 * more is one line here and one in `compose-declarative.ts`.
 */
export const KINDS: readonly Kind[] = [
  {
    kind: 'Mesh',
    collection: '/meshes',
    nameMember: 'meshId',
    shape: withDomain,
    remark: whoSigns,
    effect: whatItCrosses,
    precious: true,
  },
  quota,
  ...TOPOLOGY_KINDS,
  relationship,
  {
    kind: 'PeerGroup',
    collection: '/meshes/{meshId}/peer-groups',
    nameMember: 'name',
    refersTo: membersOf,
  },
  service,
  entry,
  rule,
]

/** The kind of this name. */
export function findKind(name: string): Kind | undefined {
  return KINDS.find(({ kind }) => kind === name)
}

/** Whether objects of a kind belong to a mesh; a mesh itself does not. */
export function isNested({ collection }: Kind): boolean {
  return collection.includes('{meshId}')
}

/** Where objects of a kind are in a mesh. */
export function collectionOf({ collection }: Kind, mesh: string): string {
  return collection.replace('{meshId}', encodeURIComponent(mesh))
}

/** Where one object of a kind is. */
export function targetOf(kind: Kind, mesh: string, name: string): string {
  return collectionOf(kind, mesh) + (kind.pathOf?.(name) ?? path`/${name}`)
}

/** What a body or a view of a kind calls its object; undefined when it names none. */
export function nameIn(kind: Kind, body: JsonRecord): string | undefined {
  if (kind.nameOf !== undefined) return kind.nameOf(body)
  const name = body[kind.nameMember]
  return typeof name === 'string' ? name : undefined
}

/** Ends an object as its kind does, or tells what would end with it. */
export async function endObject(
  cli: Cli,
  { kind, target }: { readonly kind: Kind; readonly target: string },
  options: EndOptions,
): Promise<Ended> {
  if (kind.end !== undefined) return { endings: await kind.end(cli, target, options), effect: [] }
  const { dryRun, force = false } = options
  const query = { dryRun: dryRun ? true : undefined, force: force ? true : undefined }
  if (kind.isSet === true) {
    await cli.put(target, {}, { query, quiet: true })
    return { endings: [], effect: [] }
  }
  const answer = await cli.delete<JsonRecord & { ended?: readonly Ending[] }>(target, {
    query,
    quiet: true,
  })
  return { endings: answer.ended ?? [], effect: kind.effect?.(answer) ?? [] }
}

function primaryOf(view: JsonRecord): JsonRecord | undefined {
  const domains: readonly unknown[] = Array.isArray(view['trustDomains'])
    ? view['trustDomains']
    : []
  return domains.filter(isJsonRecord).find((domain) => domain['isPrimary'] === true)
}

/** Applied to another service, the document would make our own keys for it. */
function whoSigns(view: JsonRecord): string | undefined {
  return primaryOf(view)?.['issuer'] === 'observed'
    ? 'its trust domain is signed by another system; elsewhere make it with: entente mesh adopt'
    : undefined
}

/** Whom a mesh that comes into another environment should be kept apart from, and how. */
function whatItCrosses({ crossesEnvironments, next }: JsonRecord): string[] {
  const names = Array.isArray(crossesEnvironments) ? crossesEnvironments.map(String) : []
  if (names.length === 0 || !Array.isArray(next)) return []
  const found = `${names.join(', ')}: in another environment, and no rule keeps both apart`
  return [found, ...next.map((command) => `to do so: ${String(command)}`)]
}

/** A mesh's body names its first trust domain, its view lists all. */
function withDomain(view: JsonRecord): JsonRecord {
  const primary = primaryOf(view)
  if (primary === undefined) return view
  const { name: trustDomain, bundleHost, profile } = primary
  return { ...view, trustDomain, bundleHost, profile }
}

function membersOf(body: JsonRecord): readonly Reference[] {
  const members: readonly unknown[] = Array.isArray(body['members']) ? body['members'] : []
  return members.flatMap((member) =>
    isJsonRecord(member) && typeof member['relationship'] === 'string'
      ? [{ kind: 'Relationship', name: member['relationship'] }]
      : [],
  )
}
