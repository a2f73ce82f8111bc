import { type AppliedView } from '../../mesh/applied-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure } from '../failure.ts'
import { compare, type FieldChange } from './compare.ts'
import { type ObjectDocument } from './documents.ts'
import { isJsonRecord, type JsonRecord, NOTHING, pick } from './json-schema.ts'
import { fixedOnce, type Kind, type PinnedSteps, type Step } from './kind.ts'
import { collectionOf, findKind, targetOf } from './kinds.ts'
import { type ApiDescription, type KindSchemas } from './schemas.ts'

/** What brings one object to its document. */
export interface Planned {
  readonly document: ObjectDocument
  readonly action: 'create' | 'update' | 'none'
  readonly changes: readonly FieldChange[]
  readonly steps: readonly Step[]
  /** The version that was compared. */
  readonly ifMatch: string | undefined
  /** Why it cannot be brought there. */
  readonly refusal: string | undefined
  /** What shows the part of it on which people decide first. */
  readonly waits: string | undefined
  /** Who applied it before. */
  readonly applied: AppliedView | undefined
}

/** An object of an owner that is in none of the documents. */
export interface Leftover {
  readonly kind: Kind
  readonly mesh: string
  readonly name: string
}

/** An object as it is, in the form of its document. */
export interface LiveObject {
  readonly body: JsonRecord
  readonly view: JsonRecord
  readonly etag: string | undefined
}

/** What every step of planning needs. */
export interface PlanDeps {
  readonly cli: Cli
  readonly description: ApiDescription
}

/** Compares every document with its object; reads only. */
export async function planDocuments(
  { cli, description }: PlanDeps,
  documents: readonly ObjectDocument[],
): Promise<Planned[]> {
  const applied = new AppliedRecords(cli)
  const planned: Planned[] = []
  for (const document of documents) {
    const schemas = description.of(document.kind)
    const live = await readLive(cli, document, schemas.create)
    const known = await applied.find(document)
    planned.push(
      live === undefined
        ? creation(document)
        : await change(cli, { document, live, schemas, known }),
    )
  }
  return planned
}

/** The objects that an owner applied in these meshes and that no document names, dependants first. */
export async function findLeftovers(
  cli: Cli,
  about: { readonly owner: string; readonly documents: readonly ObjectDocument[] },
): Promise<Leftover[]> {
  const named = new Set(about.documents.map(({ kind, mesh, name }) => keyOf(kind.kind, mesh, name)))
  const leftovers: Leftover[] = []
  for (const mesh of await meshesOf(cli, about.documents)) {
    const records = await listApplied(cli, mesh, about.owner)
    for (const { kind: word, name } of records) {
      const kind = findKind(word)
      if (kind !== undefined && !named.has(keyOf(word, mesh, name))) {
        leftovers.push({ kind, mesh, name })
      }
    }
  }
  return leftovers
}

/** An object as it is; undefined when it does not exist. */
export async function readLive(
  cli: Cli,
  { kind, mesh, name }: Pick<ObjectDocument, 'kind' | 'mesh' | 'name'>,
  create: KindSchemas['create'],
): Promise<LiveObject | undefined> {
  const target = targetOf(kind, mesh, name)
  const found = await cli.find(target)
  if (found === undefined || !isJsonRecord(found.body)) return undefined
  const body = await bodyOf(cli, { kind, target, view: found.body, create })
  return { body, view: found.body, etag: found.etag }
}

/** A view in the form of the body that would make it. */
export async function bodyOf(
  cli: Cli,
  about: {
    readonly kind: Kind
    readonly target: string
    readonly view: JsonRecord
    readonly create: KindSchemas['create']
  },
): Promise<JsonRecord> {
  const { kind, target, view, create } = about
  const picked = pick(create, kind.shape?.(view) ?? view)
  if (picked === NOTHING || !isJsonRecord(picked)) {
    throw new CliFailure(`${target} has no form in which it could be applied`)
  }
  return kind.complete === undefined ? picked : kind.complete(cli, target, picked)
}

function creation(document: ObjectDocument): Planned {
  const { kind, mesh, body } = document
  const after = body
  return {
    document,
    action: 'create',
    changes: Object.entries(after).map(([field, value]) => ({ field, after: value })),
    steps: [{ method: 'POST', target: collectionOf(kind, mesh), body }],
    ifMatch: undefined,
    refusal: undefined,
    waits: undefined,
    applied: undefined,
  }
}

interface Situation {
  readonly document: ObjectDocument
  readonly live: LiveObject
  readonly schemas: KindSchemas
  readonly known: AppliedView | undefined
}

async function change(cli: Cli, { document, live, schemas, known }: Situation): Promise<Planned> {
  const { kind, mesh, name, body } = document
  const target = targetOf(kind, mesh, name)
  const wanted = kind.comparable?.(body, live.body) ?? body
  const { nameMember, replaced } = kind
  const about = { wanted, live: live.body, ...schemas, nameMember, replaced }
  const { changes, patch, pinned } = compare(about)
  const closed = kind.closed?.(live.view)
  const isOpen = closed === undefined && pinned.length > 0
  const found = isOpen ? await stepsFor(cli, { kind, target, wanted, pinned }) : {}
  const patching: Step = { method: 'PATCH', target, body: patch }
  return {
    document,
    action: changes.length === 0 ? 'none' : 'update',
    changes,
    steps: [...(found.steps ?? []), ...(Object.keys(patch).length === 0 ? [] : [patching])],
    ifMatch: live.etag,
    refusal: closed ?? found.refusal,
    waits: found.waits,
    applied: known,
  }
}

interface PinnedChange {
  readonly kind: Kind
  readonly target: string
  readonly wanted: JsonRecord
  readonly pinned: readonly FieldChange[]
}

/** What the service refuses beforehand is a refusal like any other. */
async function stepsFor(
  cli: Cli,
  { kind, target, wanted, pinned }: PinnedChange,
): Promise<PinnedSteps> {
  if (kind.pinnedSteps === undefined) return { refusal: fixedOnce(pinned) }
  try {
    return await kind.pinnedSteps(cli, target, { wanted, pinned })
  } catch (thrown) {
    if (!(thrown instanceof CliFailure) || thrown.status === undefined) throw thrown
    return { refusal: thrown.message }
  }
}

/** Who applied what, read once a mesh. */
class AppliedRecords {
  readonly #cli: Cli
  readonly #meshes = new Map<string, ReadonlyMap<string, AppliedView>>()

  constructor(cli: Cli) {
    this.#cli = cli
  }

  async find({ kind, mesh, name }: ObjectDocument): Promise<AppliedView | undefined> {
    const known = this.#meshes.get(mesh) ?? (await this.#read(mesh))
    return known.get(keyOf(kind.kind, mesh, name))
  }

  async #read(mesh: string): Promise<ReadonlyMap<string, AppliedView>> {
    const records = await listApplied(this.#cli, mesh)
    const byKey = new Map(records.map((one) => [keyOf(one.kind, mesh, one.name), one]))
    this.#meshes.set(mesh, byKey)
    return byKey
  }
}

/** What was applied in a mesh; nothing in one that does not exist. */
async function listApplied(cli: Cli, mesh: string, owner?: string): Promise<AppliedView[]> {
  try {
    return await cli.list<AppliedView>(path`/meshes/${mesh}/applied`, { owner })
  } catch (thrown) {
    if (thrown instanceof CliFailure && thrown.status === 404) return []
    throw thrown
  }
}

/** Every mesh of the service, or those of the documents for a token that may not see all. */
async function meshesOf(cli: Cli, documents: readonly ObjectDocument[]): Promise<string[]> {
  const named = [...new Set(documents.map(({ mesh }) => mesh))]
  try {
    const all = await cli.list<{ meshId: string }>('/meshes')
    return all.map(({ meshId }) => meshId)
  } catch (thrown) {
    if (thrown instanceof CliFailure && thrown.status === 403) return named
    throw thrown
  }
}

function keyOf(kind: string, mesh: string, name: string): string {
  return `${kind} ${mesh} ${name}`
}
