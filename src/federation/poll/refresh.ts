import { ServiceError } from '../../errors.ts'
import { decideRead, type HeldBefore, readDocument, type Verdict } from './accept-bundle.ts'
import { type PollTask, revisionInUse } from './claim-store.ts'
import { distrustedAt } from '../trust/distrusted-keys.ts'
import {
  type Fetched,
  fetchBundle,
  type FetchDeps,
  type FetchResult,
  hasExpired,
} from './fetch-bundle.ts'
import { loadIngestion } from './load-ingestion.ts'
import { outcomeOf, type PollEnd } from './poll-outcome.ts'
import { type PollSettler } from './poll-settler.ts'
import { repeatPoll } from './poll-store.ts'
import { recoverBundle, type RecoverDeps } from '../recovery/recover-bundle.ts'
import { type RefreshReport } from './refresh-report.ts'
import { type PollReporter } from './report-poll.ts'
import { isStored, type StoreDeps, type StoredVerdict, storeVerdict } from './store-verdict.ts'
import { findVoucher } from './voucher.ts'

/** What refreshing peers needs. */
export interface RefreshDeps extends RecoverDeps, StoreDeps {
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
  const result = await fetchOrRecover(deps, task, options.signal)
  const judged = await judge(deps, task, { fetched: result.fetched, options })
  const report = isToStore(judged)
    ? await keepDocument(deps, task, { judged, result, options })
    : await keepOutcome(deps, task, { judged, result })
  deps.reporter.report(report)
  return report
}

/**
 * Fetches by the pinned parameters; only once every stored authority of the endpoint has ended are the recovery
 * paths tried, and when there is none the failure is that of the fetch.
 */
export async function fetchOrRecover(
  deps: RecoverDeps,
  task: PollTask,
  signal: AbortSignal | undefined,
): Promise<FetchResult> {
  const voucher = await findVoucher(deps, task)
  const isExpired = await hasExpired(deps, task, voucher)
  const recovered = isExpired ? await recoverBundle(deps, task, signal) : undefined
  return recovered ?? fetchBundle(deps, task, { voucher, signal })
}

/** A judged document with the ETag that it came with. */
type JudgedDocument = Verdict & { readonly etag: string | undefined }

type Judged =
  | JudgedDocument
  | { readonly kind: 'not-modified' }
  | { readonly kind: 'failed'; readonly error: ServiceError }

type ToStore = StoredVerdict & { readonly etag: string | undefined }

function isToStore(judged: Judged): judged is ToStore {
  if (judged.kind === 'not-modified' || judged.kind === 'failed') return false
  return isStored(judged)
}

/** Judges what a peer served without storing anything; also the whole of a dry run. */
export async function judge(
  deps: Pick<FetchDeps, 'db'>,
  task: PollTask,
  { fetched, options }: { readonly fetched: Fetched; readonly options: RefreshOptions },
): Promise<Judged> {
  if (fetched.kind !== 'document') return fetched
  try {
    const verdict = await judgeDocument(deps, task, { document: fetched.document, options })
    return { ...verdict, etag: fetched.etag }
  } catch (error) {
    if (error instanceof ServiceError) return { kind: 'failed', error }
    throw error
  }
}

async function judgeDocument(
  { db }: Pick<FetchDeps, 'db'>,
  task: PollTask,
  { document, options }: { readonly document: Uint8Array; readonly options: RefreshOptions },
): Promise<Verdict> {
  const read = readDocument(task.trustDomain, document)
  const waiting = stillWaiting(task, read.digest)
  if (waiting !== undefined) {
    return {
      kind: 'held',
      read,
      warnings: [],
      reason: waiting,
      reduced: undefined,
      before: 'waiting',
    }
  }
  const ingestion = await loadIngestion(db, task.meshId, {
    key: task,
    policy: task.policy,
    read,
    acceptLowerSequence: options.acceptLowerSequence ?? false,
    distrusted: await distrustedAt(db, task.meshId, task.distrustRevision),
    inUse: task.inUse,
  })
  return decideRead(read, ingestion)
}

/**
 * The reason of the waiting document when the peer serves it again: this poll then costs no statement. What is in use
 * has nothing that the waiting document lacks, unless a person has set it since.
 */
function stillWaiting(
  { policy, waiting, inUse }: PollTask,
  digest: Uint8Array,
): string | undefined {
  if (policy === 'auto' || waiting === undefined) return undefined
  if (inUse !== undefined && inUse.origin !== 'fetched' && inUse.origin !== 'reduced') {
    return undefined
  }
  return Buffer.compare(waiting.digest, digest) === 0 ? waiting.reason : undefined
}

async function keepDocument(
  deps: RefreshDeps,
  task: PollTask,
  about: {
    readonly judged: ToStore
    readonly result: FetchResult
    readonly options: RefreshOptions
  },
): Promise<RefreshReport> {
  const { judged, result, options } = about
  const stored = await storeVerdict(deps, task, {
    read: judged.read,
    verifiedBy: result.verifiedBy,
    voucher: result.voucher,
    etag: judged.etag,
    actor: options.actor,
    acceptLowerSequence: options.acceptLowerSequence ?? false,
  })
  if (stored === undefined) await repeatPoll(deps.db, task, await deps.now(deps.db))
  return {
    task,
    result,
    outcome: stored === undefined ? 'discarded' : wordFor(stored.verdict),
    error: undefined,
    sequence: judged.read.bundle.sequence,
    warnings: warningsOf(stored?.verdict ?? judged),
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
    waiting: task.waiting,
    voucher: result.voucher,
  })
  const held = await deps.settler.settle(outcome)
  return {
    task,
    result,
    outcome: held ? wordFor(judged) : 'discarded',
    error: judged.kind === 'failed' ? judged.error : undefined,
    sequence: 'read' in judged ? judged.read.bundle.sequence : undefined,
    warnings: warningsOf(judged),
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

/** How a poll or a dry run with this judgement is reported. */
export function wordFor(
  judged: Verdict | Judged,
): 'accepted' | 'unchanged' | 'failed' | 'quarantined' {
  if (judged.kind === 'not-modified') return 'unchanged'
  if (judged.kind !== 'held') return judged.kind
  const isOld = judged.before === 'rejected' && judged.reduced === undefined
  return isOld ? 'unchanged' : 'quarantined'
}

/** What a person should know of this judgement. */
export function warningsOf(judged: Verdict | Judged): readonly string[] {
  if (judged.kind === 'accepted') return judged.warnings
  if (judged.kind !== 'held') return []
  return [heldWarning(judged.before, judged.reason), ...judged.warnings]
}

function heldWarning(before: HeldBefore | undefined, reason: string): string {
  if (before === undefined) return `${reason}; the document waits for a decision`
  return before === 'waiting'
    ? `${reason}; the same document already waits for a decision`
    : 'the peer still serves a document that was rejected; what is in use stays'
}
