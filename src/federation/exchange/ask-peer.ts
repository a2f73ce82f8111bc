import { addSeconds } from '../../clock.ts'
import { inTransaction } from '../../db/connect.ts'
import { type MeshId } from '../../db/ids.ts'
import { type DbClock } from '../../db/time.ts'
import { ServiceError } from '../../errors.ts'
import { type Logger } from '../../http/log.ts'
import { type Metrics } from '../../http/metrics.ts'
import { believeConsent } from './believe-peer.ts'
import { followParameters, impossible } from './follow-parameters.ts'
import { callPeer, type CallPeerDeps, errorText, PEER_API, refusalIn } from './call-peer.ts'
import { DEFAULT_HINT_SECONDS, pollIntervalSeconds, waitMs } from '../poll/next-poll.ts'
import { type AskTask, settleAsk } from './peer-exchange-store.ts'
import { pollForNews } from './peer-news-store.ts'
import { type PeerStatus, readStatus, writeStatus } from './peer-status.ts'
import { callOutcome } from './send-notice.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'

/** What asking peers needs. */
export interface AskPeerDeps extends CallPeerDeps {
  readonly now: DbClock
  readonly pollMinSeconds: number
  /** From 0 to 1. */
  readonly random: () => number
  readonly metrics: Pick<Metrics, 'peerCalls'>
  readonly log: Pick<Logger, 'info'>
  /** Called when the standing of a relationship of this mesh has changed. */
  readonly onChanged: (meshId: MeshId) => void
  /** Looks for due polls at once. */
  readonly kickPolls: () => void
}

/**
 * Asks one peer how it stands to us and follows its answer; only an answer is believed.
 *
 * A peer that cannot be reached, or refuses, changes nothing: that no longer means anything than that it did not
 * answer. Throws only when the database is away; the lease then runs out by itself.
 */
export async function askPeer(
  deps: AskPeerDeps,
  task: AskTask,
  signal: AbortSignal,
): Promise<void> {
  const answered = await callPeer(deps, task, {
    method: 'GET',
    path: `${PEER_API}/relationship`,
    body: new Uint8Array(),
    signal,
  })
  deps.metrics.peerCalls.inc({ kind: 'status', outcome: callOutcome(answered.answer?.status) })
  const refusal = refusalIn(answered)
  const told = refusal ?? readTold(task, answered.answer?.body ?? new Uint8Array())
  if (told instanceof ServiceError) return settleFailed(deps, task, told)
  await follow(deps, task, told)
  await settleAsk(deps.db, task, {
    nextAt: nextAt(deps, task, 0),
    failures: 0,
    error: undefined,
    told: writeStatus(told),
  })
}

function readTold(task: AskTask, body: Uint8Array): PeerStatus | ServiceError {
  try {
    const told = readStatus(body)
    const wanted = trustDomainOf(task.exchange.id)
    if (told.trustDomain === wanted) return told
    return new ServiceError(
      'PEER_ANSWER_REFUSED',
      `the peer's answer is about ${told.trustDomain}, asked about ${wanted}`,
    )
  } catch (error) {
    if (error instanceof ServiceError) return error
    throw error
  }
}

async function follow(deps: AskPeerDeps, task: AskTask, told: PeerStatus): Promise<void> {
  const { meshId, relationshipId, generation } = task
  const { consent } = told
  const changed = await inTransaction(deps.db, async (trx) => {
    const now = await deps.now(trx)
    return believeConsent(trx, meshId, { relationshipId, generation, consent, now })
  })
  if (changed) {
    deps.onChanged(meshId)
    deps.log.info(
      { event: 'peer.consent-changed', meshId, relationship: task.relationship, state: consent },
      'a peer changed its consent',
    )
  }
  await followTold(deps, task, told)
  await pollWhatIsNewer(deps, task, told)
}

async function followTold(deps: AskPeerDeps, task: AskTask, told: PeerStatus): Promise<void> {
  const { meshId, relationship } = task
  const followed = await inTransaction(deps.db, async (trx) =>
    followParameters(trx, task, { told, now: await deps.now(trx) }),
  ).catch((error: unknown) => {
    if (impossible(error)) return 'impossible' as const
    throw error
  })
  if (followed === undefined) return
  if (followed === 'applied') deps.onChanged(meshId)
  deps.log.info(
    { event: 'peer.parameters', meshId, relationship, outcome: followed },
    'a peer tells other parameters of itself than those in force',
  )
}

async function pollWhatIsNewer(deps: AskPeerDeps, task: AskTask, told: PeerStatus): Promise<void> {
  const { meshId, relationshipId } = task
  const now = await deps.now(deps.db)
  let isNewer = false
  for (const { trustDomain, sequence } of told.bundles) {
    const news = { relationshipId, now, trustDomain, sequence, spacingSeconds: 5 }
    if (await pollForNews(deps.db, meshId, news)) isNewer = true
  }
  if (isNewer) deps.kickPolls()
}

async function settleFailed(deps: AskPeerDeps, task: AskTask, error: ServiceError): Promise<void> {
  const failures = task.failures + 1
  await settleAsk(deps.db, task, {
    nextAt: nextAt(deps, task, failures),
    failures,
    error: errorText(error),
    told: undefined,
  })
}

/** The rhythm of the peer's bundle polls, and the same patience with one that does not answer. */
function nextAt(deps: AskPeerDeps, task: AskTask, failures: number): Date {
  const seconds = pollIntervalSeconds({
    pollMinSeconds: deps.pollMinSeconds,
    hintMinSeconds: undefined,
    hintMaxSeconds: undefined,
    hintSeconds: task.pollSeconds === 0 ? DEFAULT_HINT_SECONDS : task.pollSeconds,
    failures,
    changesLastHour: 0,
  })
  return addSeconds(task.claimedAt, waitMs(seconds, deps.random()) / 1000)
}
