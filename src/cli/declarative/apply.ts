import { type Cli } from '../cli.ts'
import { CliFailure, usageFailure } from '../failure.ts'
import {
  findLeftovers,
  forgetApplied,
  type Leftover,
  recordApplied,
  unlessGone,
} from './applied-records.ts'
import { objectWord, readDocuments, wrongDocuments } from './documents.ts'
import { type Ended, type Ending, type Step } from './kind.ts'
import { endObject, KINDS, targetOf } from './kinds.ts'
import { inMakingOrder, madeIn, standsOn } from './order.ts'
import { planAgain, planDocuments, type PlanDeps, type Planned } from './plan.ts'
import { readDescription } from './schemas.ts'
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
export interface Pruned extends Leftover, Ended {}

/** An object that is left over and stays. */
export interface Kept extends Leftover {
  readonly reason: string
}

/** Everything that applying would do. */
export interface Plan {
  readonly objects: readonly Planned[]
  readonly pruned: readonly Pruned[]
  readonly kept: readonly Kept[]
  readonly description: PlanDeps['description']
}

/** What was done, told as it happens. */
export interface Progress {
  readonly applied: (planned: Planned) => void
  readonly pruned: (pruned: Pruned) => void
}

/** Reads documents and what the service knows, and finds what would be done; changes nothing. */
export async function makePlan(cli: Cli, options: ApplyOptions): Promise<Plan> {
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
  const planned = await planDocuments({ cli, description }, documents)
  const leftovers = options.prune
    ? await findLeftovers(cli, { owner: options.owner, documents })
    : []
  const endings = await planEndings(cli, leftovers, options)
  return { objects: inMakingOrder(planned), ...endings, description }
}

/** What is left over goes, but what is precious, and what the token may not end. */
async function planEndings(
  cli: Cli,
  leftovers: readonly Leftover[],
  { pruneMeshes }: ApplyOptions,
): Promise<Pick<Plan, 'kept' | 'pruned'>> {
  const [pruned, kept]: [Pruned[], Kept[]] = [[], []]
  for (const leftover of inEndingOrder(leftovers)) {
    if (leftover.kind.precious === true && !pruneMeshes) {
      kept.push({ ...leftover, reason: 'since its keys would be erased: --prune-meshes' })
      continue
    }
    if (!leftover.prunable) {
      kept.push({ ...leftover, reason: 'since it was applied with a token that may not end it' })
      continue
    }
    try {
      pruned.push({ ...leftover, ...(await endLeftover(cli, leftover, { dryRun: true })) })
    } catch (thrown) {
      if (!(thrown instanceof CliFailure) || thrown.status !== 403) throw thrown
      kept.push({ ...leftover, reason: `since this token may not end it: ${thrown.message}` })
    }
  }
  return { pruned, kept }
}

/** Carries a plan out, object by object; a failure leaves what was done before it. */
export async function carryOut(
  cli: Cli,
  plan: Plan,
  options: ApplyOptions & { readonly progress: Progress },
): Promise<void> {
  const { progress } = options
  const made = madeIn(plan.objects)
  for (const planned of plan.objects) {
    await bringThere({ cli, description: plan.description }, planned, made)
    if (!planned.isKept) await recordApplied(cli, planned, options)
    progress.applied(planned)
  }
  for (const { document, later } of plan.objects) {
    for (const step of later) {
      const { kind, mesh, name } = document
      await take(cli, step, { ifMatch: await cli.etag(targetOf(kind, mesh, name)) })
    }
  }
  for (const pruned of plan.pruned) {
    if (pruned.kind.isSet === true) await forgetApplied(cli, pruned)
    const force = blockedBy(pruned, plan.pruned).length > 0
    // What ran in a cluster went with it.
    await unlessGone(() => endLeftover(cli, pruned, { dryRun: false, force }))
    progress.pruned(pruned)
  }
}

/** What keeps an object from being pruned: what uses it and does not go in the same run. */
export function blockingOutside(pruned: Pruned, all: readonly Pruned[]): readonly Ending[] {
  const inside = new Set(blockedBy(pruned, all))
  return pruned.endings.filter((ending) => ending.blocks && !inside.has(ending))
}

/** Takes the steps of one object. What others of the run made with theirs may be there by now. */
async function bringThere(
  deps: PlanDeps,
  planned: Planned,
  made: ReadonlyMap<string, Planned>,
): Promise<void> {
  const isNew = planned.action === 'create' && standsOn(planned, made)
  const { steps, ifMatch, document, refusal } = isNew ? await planAgain(deps, planned) : planned
  if (refusal !== undefined) throw new CliFailure(`${document.place}: ${refusal}`)
  const { kind, mesh, name } = document
  let version = ifMatch
  for (const [index, step] of steps.entries()) {
    if (index > 0) version ??= await deps.cli.etag(targetOf(kind, mesh, name))
    version = (await take(deps.cli, step, { ifMatch: version })).headers.etag
  }
}

/** One call of a step. */
export async function take(
  cli: Cli,
  { method, target, body }: Step,
  { ifMatch, dryRun }: { readonly ifMatch: string | undefined; readonly dryRun?: boolean },
): ReturnType<Cli['call']> {
  return cli.call(method, target, { body, ifMatch, query: { dryRun }, quiet: true })
}

/** Groups before the peers in them, meshes last. */
function inEndingOrder(leftovers: readonly Leftover[]): Leftover[] {
  return leftovers.toSorted((a, b) => KINDS.indexOf(b.kind) - KINDS.indexOf(a.kind))
}

async function endLeftover(
  cli: Cli,
  { kind, mesh, name, objectId }: Leftover,
  { dryRun, force = false }: { readonly dryRun: boolean; readonly force?: boolean },
): Promise<Ended> {
  const target = targetOf(kind, mesh, kind.endsById === true ? objectId : name)
  return endObject(cli, { kind, target }, { dryRun, force: force && kind.takesForce === true })
}

/** What uses an object and goes in the same run. */
function blockedBy({ mesh, endings }: Pruned, all: readonly Pruned[]): readonly Ending[] {
  const words = new Set(all.map((one) => objectWord(one).toLowerCase()))
  return endings.filter(({ kind, name, blocks }) => {
    const word = `${kind.replaceAll(/[ -]/g, '')} ${mesh}/${name}`
    return blocks && words.has(word.toLowerCase())
  })
}
