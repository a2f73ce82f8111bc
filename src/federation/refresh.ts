import { ServiceError } from '../errors.ts'
import { decideBundle, type Verdict } from './accept-bundle.ts'
import { type PollTask, revisionInUse } from './claim-store.ts'
import { type Fetched, fetchBundle, type FetchDeps, type FetchResult } from './fetch-bundle.ts'
import { outcomeOf, type PollEnd } from './poll-outcome.ts'
import { type PollSettler } from './poll-settler.ts'
import { type RefreshReport } from './refresh-report.ts'
import { type PollReporter } from './report-poll.ts'
import { findNewestFetched } from './revision-store.ts'
import { storeAccepted, type StoreDeps } from './store-accepted.ts'

/** What refreshing peers needs. */
export interface RefreshDeps extends FetchDeps, StoreDeps {
  readonly settler: PollSettler
  readonly reporter: PollReporter
}

/** On whose word a poll happens. */
export interface RefreshOptions {
  /** `timer:federation` for the schedule. */
  readonly actor: string
  /** Take a document although its sequence went back, this once (FE-37). */
  readonly acceptLowerSequence?: boolean
  readonly signal?: AbortSignal
}

/** The actor of whatever the schedule changes. */
export const SCHEDULE_ACTOR = 'timer:federation'

/**
 * Polls one peer domain once: fetch, judge, store, report.
 *
 * A failed fetch or a refused document is an outcome like any other and leaves the stored bundle as it is (FE-36).
 * Throws only when the database is away, or the signal's reason when aborted; the lease then runs out by itself.
 */
export async function refreshPeer(
  deps: RefreshDeps,
  task: PollTask,
  options: RefreshOptions,
): Promise<RefreshReport> {
  const result = await fetchBundle(deps, task, options.signal)
  const judged = await judge(deps, task, { fetched: result.fetched, options })
  const report =
    judged.kind === 'accepted'
      ? await keepDocument(deps, task, { judged, result, options })
      : await keepOutcome(deps, task, { judged, result })
  deps.reporter.report(report)
  return report
}

type Judged =
  | (Verdict & { readonly etag: string | undefined })
  | { readonly kind: 'not-modified' }
  | {
      readonly kind: 'failed'
      readonly error: ServiceError
      readonly sequence?: bigint | undefined
    }

/** Judges what a peer served without storing anything; also the whole of a dry run. */
export async function judge(
  deps: Pick<FetchDeps, 'db'>,
  task: PollTask,
  { fetched, options }: { readonly fetched: Fetched; readonly options: RefreshOptions },
): Promise<Judged> {
  if (fetched.kind !== 'document') return fetched
  const newest = await findNewestFetched(deps.db, task.meshId, task)
  try {
    const verdict = decideBundle(task.trustDomain, fetched.document, {
      inUse: task.inUse,
      newestFetched: newest,
      acceptLowerSequence: options.acceptLowerSequence ?? false,
    })
    return { ...verdict, etag: fetched.etag }
  } catch (error) {
    if (error instanceof ServiceError) return { kind: 'failed', error }
    throw error
  }
}

async function keepDocument(
  deps: RefreshDeps,
  task: PollTask,
  about: {
    readonly judged: Extract<Judged, { kind: 'accepted' }>
    readonly result: FetchResult
    readonly options: RefreshOptions
  },
): Promise<RefreshReport> {
  const { judged, result, options } = about
  const stored = await storeAccepted(deps, task, {
    read: judged.read,
    warnings: judged.warnings,
    verifiedBy: result.verifiedBy,
    etag: judged.etag,
    actor: options.actor,
    acceptLowerSequence: options.acceptLowerSequence ?? false,
  })
  return {
    task,
    result,
    outcome: stored === undefined ? 'discarded' : 'accepted',
    error: undefined,
    sequence: judged.read.bundle.sequence,
    warnings: judged.warnings,
    settled: stored?.outcome,
    changesLastHour: stored?.changesLastHour ?? 0,
    activated: stored?.activated ?? false,
  }
}

async function keepOutcome(
  deps: RefreshDeps,
  task: PollTask,
  {
    judged,
    result,
  }: { readonly judged: Exclude<Judged, { kind: 'accepted' }>; readonly result: FetchResult },
): Promise<RefreshReport> {
  const outcome = outcomeOf(task, endOf(judged, task), {
    pollMinSeconds: deps.pollMinSeconds,
    random: deps.random(),
    anchors: await deps.anchors.of(deps.db, task.meshId, revisionInUse(task)),
  })
  const held = await deps.settler.settle(outcome)
  const kept = judged.kind === 'failed' ? 'failed' : 'unchanged'
  return {
    task,
    result,
    outcome: held ? kept : 'discarded',
    error: judged.kind === 'failed' ? judged.error : undefined,
    sequence: judged.kind === 'unchanged' ? judged.read.bundle.sequence : undefined,
    warnings: [],
    settled: held ? outcome : undefined,
    changesLastHour: 0,
    activated: false,
  }
}

function endOf(judged: Exclude<Judged, { kind: 'accepted' }>, task: PollTask): PollEnd {
  if (judged.kind === 'failed') return judged
  return {
    kind: 'succeeded',
    hintSeconds: task.inUse?.hintSeconds,
    httpEtag: judged.kind === 'unchanged' ? judged.etag : task.httpEtag,
    changesLastHour: 0,
  }
}
