import { type AppliedView } from '../../mesh/applied-api.ts'
import { type Cli } from '../cli.ts'
import { CliFailure, type RefusedField } from '../failure.ts'
import { recordApplied } from './applied-records.ts'
import { type ApplyOptions, blockingOutside, type Plan, take } from './apply.ts'
import { objectWord } from './documents.ts'
import { isJsonRecord } from './json-schema.ts'
import { madeIn, standsOn } from './order.ts'
import { type Planned } from './plan.ts'

/** What each object's change would come to beyond the object, in sentences. */
export type Effects = ReadonlyMap<Planned, readonly string[]>

interface Verdict {
  readonly faults: readonly RefusedField[]
  readonly effect: readonly string[]
}

/**
 * Refuses a plan of which any part would be refused, naming every reason; the service judges each change by a dry
 * run, except what stands on objects that do not exist yet. Answers with what the service said of the others.
 */
export async function judgePlan(cli: Cli, plan: Plan, options: ApplyOptions): Promise<Effects> {
  const faults: RefusedField[] = []
  const effects = new Map<Planned, readonly string[]>()
  const run = { made: madeIn(plan.objects), roomier: meshesWithNewQuotas(plan), options }
  for (const planned of plan.objects) {
    const verdict = await judge(cli, planned, run)
    faults.push(...verdict.faults)
    effects.set(planned, verdict.effect)
  }
  for (const pruned of plan.pruned) {
    const blocking = pruned.kind.precious === true ? [] : blockingOutside(pruned, plan.pruned)
    const by = blocking.map((ending) => `${ending.kind} ${ending.name}`).join(', ')
    if (by !== '') faults.push({ in: objectWord(pruned), detail: `is used by ${by}` })
  }
  if (faults.length === 0) return effects
  throw new CliFailure('nothing was changed, because part of it would be refused', {
    fields: faults,
    next: ['entente diff -f FILE'],
  })
}

interface Run {
  readonly made: ReadonlyMap<string, Planned>
  /** Meshes whose quotas change before anything counts against them. */
  readonly roomier: ReadonlySet<string>
  readonly options: ApplyOptions
}

async function judge(cli: Cli, planned: Planned, run: Run): Promise<Verdict> {
  const place = planned.document.place
  const reason = planned.refusal ?? foreign(planned.applied, run.options)
  if (reason !== undefined) return { faults: [{ in: place, detail: reason }], effect: [] }
  if (standsOn(planned, run.made)) return { faults: [], effect: untold(planned) }
  try {
    return { faults: [], effect: await rehearse(cli, planned, run.options) }
  } catch (thrown) {
    if (!(thrown instanceof CliFailure) || thrown.status === undefined) throw thrown
    if (thrown.code === 'QUOTA_EXCEEDED' && run.roomier.has(planned.document.mesh)) {
      return { faults: [], effect: [] }
    }
    const [next] = thrown.next
    const help = next === undefined ? '' : `; ${next}`
    return { faults: [{ in: place, detail: `${thrown.message}${help}` }], effect: [] }
  }
}

function untold({ document: { kind } }: Planned): readonly string[] {
  return kind.effect === undefined ? [] : ['what it comes to is known once what it names is there']
}

async function rehearse(
  cli: Cli,
  planned: Planned,
  options: ApplyOptions,
): Promise<readonly string[]> {
  const { steps, ifMatch, action, isKept, document } = planned
  const effect: string[] = []
  const effectOf = document.kind.effect
  for (const step of steps) {
    const { text } = await take(cli, step, { ifMatch, dryRun: true })
    const answer: unknown = effectOf === undefined ? undefined : JSON.parse(text)
    if (isJsonRecord(answer)) effect.push(...(effectOf?.(answer) ?? []))
  }
  // Who changes an object may say so; who changes nothing is asked.
  if (action === 'none' && !isKept) await recordApplied(cli, planned, { ...options, dryRun: true })
  return effect
}

function foreign(applied: AppliedView | undefined, options: ApplyOptions): string | undefined {
  if (applied === undefined || applied.owner === options.owner || options.takeOver) return undefined
  return `it was applied by owner ${applied.owner}; --owner ${applied.owner}, or --take-over`
}

function meshesWithNewQuotas({ objects }: Plan): Set<string> {
  const quotas = objects.filter(
    ({ document, steps }) => document.kind.kind === 'Quota' && steps.length > 0,
  )
  return new Set(quotas.map(({ document }) => document.mesh))
}
