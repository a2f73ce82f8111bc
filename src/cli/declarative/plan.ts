import { type AppliedView } from '../../mesh/applied-api.ts'
import { type Cli } from '../cli.ts'
import { CliFailure } from '../failure.ts'
import { AppliedRecords } from './applied-records.ts'
import { compare, type FieldChange } from './compare.ts'
import { type ObjectDocument } from './documents.ts'
import { isJsonRecord, type JsonRecord, NOTHING, pick } from './json-schema.ts'
import { fixedOnce, type Kind, type PinnedSteps, type Step } from './kind.ts'
import { collectionOf, targetOf } from './kinds.ts'
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
  /** What completes it once everything else is made. */
  readonly later: readonly Step[]
  /** What shows the part of it on which people decide first. */
  readonly waits: string | undefined
  /** Whether another source keeps it. */
  readonly isKept: boolean
  /** Who applied it before. */
  readonly applied: AppliedView | undefined
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
  deps: PlanDeps,
  documents: readonly ObjectDocument[],
): Promise<Planned[]> {
  const records = new AppliedRecords(deps.cli)
  const planned: Planned[] = []
  for (const document of documents) {
    planned.push(
      await orRefused(document, async () => {
        const made = {
          ...document,
          body: document.kind.making?.(document, documents) ?? document.body,
        }
        const { live, ...found } = await planOne(deps, made)
        const applied = live === undefined ? undefined : await records.find(document, live.view)
        return { ...found, document, applied }
      }),
    )
  }
  return planned
}

/** Compares a document with its object once more; for what other documents of the run may have made with theirs. */
export async function planAgain(deps: PlanDeps, planned: Planned): Promise<Planned> {
  const [step] = planned.steps
  const body = isJsonRecord(step?.body) ? step.body : planned.document.body
  const { document, later, applied } = planned
  const found = await planOne(deps, { ...document, body })
  return { ...found, document, later, applied }
}

async function planOne(
  { cli, description }: PlanDeps,
  document: ObjectDocument,
): Promise<Planned & { readonly live: LiveObject | undefined }> {
  const schemas = description.of(document.kind)
  const live = await readLive(cli, document, schemas.create)
  if (live === undefined) return { ...creation(document), live }
  return { ...(await change(cli, { document, live, schemas })), live }
}

/** Answers to a look at an object: the token may not read it, or several have its name. */
const UNREADABLE: readonly unknown[] = [403, 409]

/** What cannot be read cannot be applied. */
async function orRefused(document: ObjectDocument, plan: () => Promise<Planned>): Promise<Planned> {
  try {
    return await plan()
  } catch (thrown) {
    if (!(thrown instanceof CliFailure) || !UNREADABLE.includes(thrown.status)) throw thrown
    return { ...UNCHANGED, document, action: 'none', changes: [], refusal: thrown.message }
  }
}

/** An object as it is; undefined when it does not exist. */
export async function readLive(
  cli: Cli,
  { kind, mesh, name }: Pick<ObjectDocument, 'kind' | 'mesh' | 'name'>,
  create: KindSchemas['create'],
): Promise<LiveObject | undefined> {
  const target = targetOf(kind, mesh, name)
  const found =
    kind.find === undefined
      ? await cli.find(target)
      : { body: await kind.find(cli, { mesh, name }), etag: undefined }
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

const UNCHANGED = {
  steps: [],
  later: [],
  ifMatch: undefined,
  refusal: undefined,
  waits: undefined,
  isKept: false,
  applied: undefined,
} as const

function creation(document: ObjectDocument): Planned {
  const { kind, mesh, body } = document
  const step: Step =
    kind.isSet === true
      ? settingOf(document)
      : { method: 'POST', target: collectionOf(kind, mesh), body }
  return {
    ...UNCHANGED,
    document,
    action: 'create',
    changes: Object.entries(body).map(([field, after]) => ({ field, after })),
    steps: [step],
  }
}

interface Situation {
  readonly document: ObjectDocument
  readonly live: LiveObject
  readonly schemas: KindSchemas
}

async function change(cli: Cli, { document, live, schemas }: Situation): Promise<Planned> {
  const { kind, mesh, name, body } = document
  const target = targetOf(kind, mesh, name)
  const wanted = kind.comparable?.(body, live.body) ?? body
  const { nameMember, replaced } = kind
  const other = await kind.other?.(cli, { ...document, view: live.view })
  const about = { wanted, live: live.body, ...schemas, nameMember, replaced }
  const { changes, patch, pinned } = compare(about)
  const { closed, isKept } = opennessOf(kind, live.view, changes.length > 0)
  const isOpen = closed === undefined && pinned.length > 0
  const found = isOpen ? await stepsFor(cli, { kind, target, wanted, pinned }) : {}
  return {
    ...UNCHANGED,
    document,
    action: changes.length === 0 ? 'none' : 'update',
    changes,
    steps: [...(found.steps ?? []), ...stepsOfPatch(document, patch)],
    ifMatch: live.etag,
    refusal: other ?? closed ?? found.refusal,
    isKept,
    waits: found.waits,
  }
}

/** Why an object is not brought to its document, and whether another source keeps it. */
function opennessOf(
  { closed, kept }: Kind,
  view: JsonRecord,
  differs: boolean,
): { readonly closed: string | undefined; readonly isKept: boolean } {
  const keeper = kept?.(view)
  return {
    closed: closed?.(view) ?? (differs ? keeper : undefined),
    isKept: keeper !== undefined,
  }
}

function stepsOfPatch(document: ObjectDocument, patch: JsonRecord): Step[] {
  const { kind, mesh, name } = document
  if (Object.keys(patch).length === 0) return []
  if (kind.isSet === true) return [settingOf(document)]
  return [{ method: 'PATCH', target: targetOf(kind, mesh, name), body: patch }]
}

/** The call that sets an object whole; its name stands in the path. */
function settingOf({ kind, mesh, name, body }: ObjectDocument): Step {
  const { [kind.nameMember]: _, ...whole } = body
  return { method: 'PUT', target: targetOf(kind, mesh, name), body: whole }
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
