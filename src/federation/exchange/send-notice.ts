import { addSeconds } from '../../clock.ts'
import { type Logger } from '../../http/log.ts'
import { type Metrics } from '../../http/metrics.ts'
import { callPeer, type CallPeerDeps, errorText, PEER_API, refusalIn } from './call-peer.ts'
import { writeNotice } from './notice.ts'
import { deleteNotice, type NoticeTask, postponeNotice } from './notice-store.ts'

/** What sending notices needs. */
export interface SendNoticeDeps extends CallPeerDeps {
  readonly metrics: Pick<Metrics, 'peerCalls' | 'notices'>
  readonly log: Pick<Logger, 'info'>
}

/** How long a notice is tried; then it is dropped, since the peer's own polls and asks repair what it missed. */
export const NOTICE_LIVES_SECONDS = 3600

const FIRST_WAIT_SECONDS = 2
const LONGEST_WAIT_SECONDS = 300

/** Sends one notice once, and settles it: taken, tried again later, or given up after an hour. */
export async function sendNotice(
  deps: SendNoticeDeps,
  task: NoticeTask,
  signal: AbortSignal,
): Promise<void> {
  const body = writeNotice(task.notice)
  const answered = await callPeer(deps, task, {
    method: 'POST',
    path: `${PEER_API}/notices`,
    body,
    signal,
  })
  const refusal = refusalIn(answered)
  deps.metrics.peerCalls.inc({
    kind: 'notice',
    outcome: callOutcome(answered.answer?.status),
  })
  if (refusal === undefined) {
    await deleteNotice(deps.db, task, { delivered: true })
    return tell(deps, task, 'delivered')
  }
  const nextAt = addSeconds(task.claimedAt, retrySeconds(task.attempts))
  if (nextAt > addSeconds(task.createdAt, NOTICE_LIVES_SECONDS)) {
    await deleteNotice(deps.db, task, { delivered: false })
    return tell(deps, task, 'dropped')
  }
  await postponeNotice(deps.db, task, { nextAt, error: errorText(refusal) })
  tell(deps, task, 'postponed')
}

/** Seconds until a notice is tried again: 2, doubled each time, at most five minutes. */
export function retrySeconds(attempts: number): number {
  return Math.min(FIRST_WAIT_SECONDS * 2 ** Math.min(attempts, 16), LONGEST_WAIT_SECONDS)
}

/** The outcome of a call as a metric has it. */
export function callOutcome(status: number | undefined): 'answered' | 'refused' | 'failed' {
  if (status === undefined) return 'failed'
  return status < 300 ? 'answered' : 'refused'
}

function tell({ metrics, log }: SendNoticeDeps, task: NoticeTask, outcome: string): void {
  const { kind } = task.notice
  metrics.notices.inc({ direction: 'sent', kind, outcome })
  log.info(
    { event: 'notice.sent', meshId: task.meshId, relationship: task.relationship, kind, outcome },
    'notice sent',
  )
}
