import { type AppliedView } from '../../mesh/applied-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure, type RefusedField, usageFailure } from '../failure.ts'
import { digestOf, type ObjectDocument, readDocuments, wrongDocuments } from './documents.ts'
import { type Ending, type Step } from './kind.ts'
import { endObject, isNested, KINDS, targetOf } from './kinds.ts'
import { findLeftovers, type Leftover, planDocuments, type Planned } from './plan.ts'
import { type ApiDescription, readDescription } from './schemas.ts'
import { faultsIn } from './validate.ts'

/** How documents are applied. */
export interface ApplyOptions {
  readonly files: readonly string[]
  readonly owner: string
  readonly prune: boolean
  /** Prunes meshes too. */
  readonly pruneMeshes: boolean
  readonly takeOver: boolean
}

/** An object that goes, and what ends with it. */
export interface Pruned extends Leftover {
  readonly endings: readonly Ending[]
}

/** Everything that applying would do. */
export interface Plan {
  readonly objects: readonly Planned[]
  readonly pruned: readonly Pruned[]
  /** Left over too, and kept because nothing would bring them back. */
  readonly kept: readonly Leftover[]
}

/** What was done, told as it happens. */
export interface Progress {
  readonly applied: (planned: Planned) => void
  readonly pruned: (pruned: Pruned) => void
}

/** Reads documents and what the service knows, and finds what would be done; changes nothing. */
export async function makePlan(
  cli: Cli,
  options: ApplyOptions,
): Promise<Plan & { readonly description: ApiDescription }> {
  const documents = await readDocuments(cli, options.files)
  if (documents.length === 0) {
    throw usageFailure(
      `no documents in ${options.files.join(', ')}`,
      'name a file or folder with -f',
    )
  }
  const description = await readDescription(cli)
  const faults = await faultsIn(documents, description)
  if (faults.length > 0) throw wrongDocuments(faults)
  const objects = await planDocuments({ cli, description }, documents)
  const leftovers = options.prune
    ? await findLeftovers(cli, { owner: options.owner, documents })
    : []
  const isKept = ({ kind }: Leftover): boolean => kind.precious === true && !options.pruneMeshes
  const pruned: Pruned[] = []
  for (const leftover of inEndingOrder(leftovers.filter((one) => !isKept(one)))) {
    pruned.push({ ...leftover, endings: await endingsOf(cli, leftover) })
  }
  return { objects, pruned, kept: leftovers.filter(isKept), description }
}

/**
 * Refuses a plan of which any part would be refused, naming every reason; the service judges each change by a dry
 * run, except what stands on objects that do not exist yet.
 */
export async function checkPlan(cli: Cli, plan: Plan, options: ApplyOptions): Promise<void> {
  const made = new Set(
    plan.objects
      .filter(({ action }) => action === 'create')
      .map(({ document }) => wordOf(document.kind.kind, document.mesh, document.name)),
  )
  const faults: RefusedField[] = []
  for (const planned of plan.objects) {
    const { place } = planned.document
    const reason = planned.refusal ?? foreign(planned.applied, options)
    if (reason !== undefined) faults.push({ in: place, detail: reason })
    else if (!standsOn(planned.document, made)) faults.push(...(await rehearse(cli, planned)))
  }
  for (const { kind, mesh, name, endings } of plan.pruned) {
    const blocking = kind.precious === true ? [] : endings.filter(({ blocks }) => blocks)
    const by = blocking.map((ending) => `${ending.kind} ${ending.name}`).join(', ')
    if (by !== '') faults.push({ in: wordOf(kind.kind, mesh, name), detail: `is used by ${by}` })
  }
  if (faults.length === 0) return
  throw new CliFailure('nothing was changed, because part of it would be refused', {
    fields: faults,
    next: ['entente diff -f FILE'],
  })
}

/** Carries a plan out, object by object; a failure leaves what was done before it. */
export async function carryOut(
  cli: Cli,
  plan: Plan,
  { owner, takeOver, progress }: ApplyOptions & { readonly progress: Progress },
): Promise<void> {
  for (const planned of plan.objects) {
    await takeSteps(cli, planned)
    await recordOwner(cli, planned, { owner, takeOver })
    progress.applied(planned)
  }
  for (const pruned of plan.pruned) {
    const { kind, mesh, name } = pruned
    await endObject(cli, { kind, target: targetOf(kind, mesh, name) }, { dryRun: false })
    progress.pruned(pruned)
  }
}

/** Takes the steps of one object, each on the version that the one before left. */
async function takeSteps(cli: Cli, { steps, ifMatch, document }: Planned): Promise<void> {
  const { kind, mesh, name } = document
  let version = ifMatch
  for (const [index, step] of steps.entries()) {
    if (index > 0) version ??= await cli.etag(targetOf(kind, mesh, name))
    version = await take(cli, step, { ifMatch: version })
  }
}

/** One call; answers the version that it left, if it says so. */
async function take(
  cli: Cli,
  { method, target, body }: Step,
  options: { readonly ifMatch: string | undefined; readonly dryRun?: boolean },
): Promise<string | undefined> {
  const { ifMatch, dryRun } = options
  const { headers } = await cli.call(method, target, {
    body,
    ifMatch,
    query: { dryRun },
    quiet: true,
  })
  return headers.etag
}

async function rehearse(cli: Cli, planned: Planned): Promise<RefusedField[]> {
  const place = planned.document.place
  try {
    for (const step of planned.steps) {
      await take(cli, step, { ifMatch: planned.ifMatch, dryRun: true })
    }
    return []
  } catch (thrown) {
    if (!(thrown instanceof CliFailure) || thrown.status === undefined) throw thrown
    const [next] = thrown.next
    const help = next === undefined ? '' : `; ${next}`
    return [{ in: place, detail: `${thrown.message}${help}` }]
  }
}

/** Whether an object, or one that it names, is only made by this very run. */
function standsOn({ kind, mesh, body }: ObjectDocument, made: ReadonlySet<string>): boolean {
  const named = kind.refersTo?.(body) ?? []
  return (
    (isNested(kind) && made.has(wordOf('Mesh', mesh, mesh))) ||
    named.some((reference) => made.has(wordOf(reference.kind, mesh, reference.name)))
  )
}

function foreign(applied: AppliedView | undefined, options: ApplyOptions): string | undefined {
  if (applied === undefined || applied.owner === options.owner || options.takeOver) return undefined
  return `it was applied by owner ${applied.owner}; --owner ${applied.owner}, or --take-over`
}

async function recordOwner(
  cli: Cli,
  { document, applied }: Planned,
  { owner, takeOver }: Pick<ApplyOptions, 'owner' | 'takeOver'>,
): Promise<void> {
  const digest = digestOf(document)
  if (applied?.owner === owner && applied.digest === digest) return
  const { kind, mesh, name } = document
  const target = path`/meshes/${mesh}/applied/${kind.kind}/${name}`
  await cli.put(target, { owner, digest, takeOver })
}

/** Groups before the peers in them, meshes last. */
function inEndingOrder(leftovers: readonly Leftover[]): Leftover[] {
  return leftovers.toSorted((a, b) => KINDS.indexOf(b.kind) - KINDS.indexOf(a.kind))
}

async function endingsOf(cli: Cli, { kind, mesh, name }: Leftover): Promise<readonly Ending[]> {
  return endObject(cli, { kind, target: targetOf(kind, mesh, name) }, { dryRun: true })
}

function wordOf(kind: string, mesh: string, name: string): string {
  return kind === 'Mesh' ? `Mesh ${name}` : `${kind} ${mesh}/${name}`
}
