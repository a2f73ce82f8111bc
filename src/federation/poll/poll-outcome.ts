import { type ServiceError } from '../../errors.ts'
import { type Anchors, hasUsableAnchor } from './anchors.ts'
import { type PollTask, type WaitingBundle } from './claim-store.ts'
import { decideHealth } from './health.ts'
import { type HintLimits, pollIntervalSeconds, waitMs } from './next-poll.ts'
import { type PollOutcome } from './poll-store.ts'
import { type Voucher } from './voucher.ts'

/** How a poll ended. */
export type PollEnd =
  | {
      readonly kind: 'succeeded'
      /** Of the bundle in use from now on. */
      readonly hintSeconds: number | undefined
      readonly httpEtag: string | undefined
      readonly changesLastHour: number
    }
  | { readonly kind: 'failed'; readonly error: ServiceError }

/** What an outcome depends on beside its end. */
export interface OutcomeContext {
  readonly pollMinSeconds: number
  /** From 0 to 1. */
  readonly random: number
  /** The anchors of the bundle in use from now on. */
  readonly anchors: Anchors
  /** The document that waits for a person from now on. */
  readonly waiting: WaitingBundle | undefined
  /** Of an endpoint that stands in another trust domain. */
  readonly voucher?: Voucher | undefined
}

/** Longest error text that is kept and shown. */
const MAX_ERROR_LENGTH = 500

/** What a poll leaves behind: failures, health and when the next one is due. Pure. */
export function outcomeOf(task: PollTask, end: PollEnd, context: OutcomeContext): PollOutcome {
  const succeeded = end.kind === 'succeeded'
  const failures = succeeded ? 0 : task.failures + 1
  const error = succeeded ? undefined : textOf(end.error)
  const intervalSeconds = pollIntervalSeconds({
    ...limitsOf(task, context),
    hintSeconds: succeeded ? end.hintSeconds : task.inUse?.hintSeconds,
    failures,
    changesLastHour: succeeded ? end.changesLastHour : 0,
  })
  const { health, reason } = healthAfter(
    task,
    { succeeded, failures, error, intervalSeconds },
    context,
  )
  return {
    task,
    succeeded,
    failures,
    health,
    healthReason: reason,
    error,
    errorCode: end.kind === 'failed' ? end.error.code : undefined,
    httpEtag: succeeded ? end.httpEtag : task.httpEtag,
    intervalSeconds,
    waiting: context.waiting,
    nextAt: new Date(task.claimedAt.getTime() + waitMs(intervalSeconds, context.random)),
  }
}

function limitsOf(task: PollTask, { pollMinSeconds }: OutcomeContext): HintLimits {
  const { hintMinSeconds, hintMaxSeconds } = task
  return { pollMinSeconds, hintMinSeconds, hintMaxSeconds }
}

function healthAfter(
  task: PollTask,
  poll: Pick<PollOutcome, 'succeeded' | 'failures' | 'error' | 'intervalSeconds'>,
  { anchors: own, waiting, voucher }: OutcomeContext,
) {
  const anchors = voucher?.anchors ?? own
  return decideHealth(
    {
      source: task.endpointId === undefined ? 'https_web' : 'https_spiffe',
      since: task.since,
      lastSuccessAt: poll.succeeded ? task.claimedAt : task.lastSuccessAt,
      lastError: poll.error,
      failures: poll.failures,
      intervalSeconds: poll.intervalSeconds,
      hasUsableAuthority: hasUsableAnchor(anchors, task.claimedAt),
      hasX509Authorities: anchors.certificates.length > 0,
      distrusted: anchors.distrusted,
      waiting,
      voucher,
    },
    { relationship: task.relationship, trustDomain: task.trustDomain },
    task.claimedAt,
  )
}

function textOf(error: ServiceError): string {
  // Outcomes are stored together: no text of one peer may be such that the database refuses them all.
  return error.message.slice(0, MAX_ERROR_LENGTH).replaceAll('\0', '?').toWellFormed()
}
