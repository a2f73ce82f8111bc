import { type Db } from '../../db/schema.ts'
import { type Alarms } from '../../http/alarms.ts'
import { type Logger } from '../../http/log.ts'
import { type Metrics } from '../../http/metrics.ts'
import { type PollTask, type WaitingBundle } from './claim-store.ts'
import { MAX_CHANGES_PER_HOUR } from './next-poll.ts'
import { countPolls } from './poll-store.ts'
import { type RefreshReport } from './refresh-report.ts'

/** Where polls are reported. */
export interface ReporterOptions {
  readonly log: Pick<Logger, 'info' | 'warn'>
  readonly metrics: Pick<Metrics, 'polls' | 'pollLateness'>
  readonly alarms: Pick<Alarms, 'raise' | 'clear' | 'list'>
}

const NEEDS_BOOTSTRAP = 'peer.needs-bootstrap'
const QUARANTINED = 'peer.quarantined'
const WENT_BACK = 'peer.sequence-regressed'
const CHANGING = 'peer.changes-too-often'

/** The alarms that peers can raise. */
export const PEER_ALARMS = [NEEDS_BOOTSTRAP, QUARANTINED, WENT_BACK, CHANGING] as const

/**
 * Tells of polls: one log line each (FE-42), metrics, the begin and end of failing as events, and alarms for what
 * needs a person. Nothing here is an audit record; those are written with the change itself.
 */
export class PollReporter {
  readonly #options: ReporterOptions

  constructor(options: ReporterOptions) {
    this.#options = options
  }

  report(report: RefreshReport): void {
    const { metrics } = this.#options
    metrics.polls.inc({ outcome: report.outcome })
    const { task } = report
    metrics.pollLateness.observe(
      Math.max(0, task.claimedAt.getTime() - task.dueAt.getTime()) / 1000,
    )
    this.#logFetch(report)
    if (report.settled === undefined) return
    this.#logTurn(report)
    this.#setAlarms(report)
  }

  #logFetch({ task, result, outcome, error, sequence, warnings }: RefreshReport): void {
    const { verifiedBy } = result
    const seen = verifiedBy.how === 'fetch' ? verifiedBy : undefined
    const fields = {
      event: 'federation.fetched',
      meshId: task.meshId,
      relationship: task.relationship,
      trustDomain: task.trustDomain,
      url: withoutQuery(task.endpointUrl),
      redirects: seen?.redirects.map(withoutQuery),
      resolvedAddress: seen?.address,
      presentedSpiffeId: seen?.presentedIds.join(' ').slice(0, 500),
      certificateSha256: seen?.chainSha256,
      outcome,
      sequence,
      durationMs: result.durationMs,
      ...(error === undefined ? {} : { code: error.code, error: error.message }),
      ...(warnings.length === 0 ? {} : { reason: warnings.join('; ').slice(0, 500) }),
    }
    if (outcome === 'failed' || warnings.length > 0) {
      this.#options.log.warn(fields, 'peer bundle fetched')
    } else this.#options.log.info(fields, 'peer bundle fetched')
  }

  #logTurn({ task, outcome, error }: RefreshReport): void {
    const fields = {
      meshId: task.meshId,
      relationship: task.relationship,
      trustDomain: task.trustDomain,
    }
    const failed = outcome === 'failed'
    if (failed && task.failures === 0) {
      this.#options.log.warn(
        { event: 'relationship.failing', ...fields, error: error?.message },
        'relationship began to fail; the stored bundle stays in force',
      )
    }
    if (!failed && task.failures > 0) {
      this.#options.log.info(
        { event: 'relationship.recovered', ...fields, failures: task.failures },
        'relationship recovered',
      )
    }
  }

  #setAlarms({ task, settled, error, changesLastHour, outcome }: RefreshReport): void {
    const bootstrap = settled?.health === 'needs-bootstrap' ? settled.healthReason : undefined
    const wentBack = error?.code === 'BUNDLE_SEQUENCE_REGRESSED' ? error.message : undefined
    const changing =
      changesLastHour > MAX_CHANGES_PER_HOUR
        ? `bundle changed ${changesLastHour} times within an hour; polled slowest`
        : undefined
    this.#set(NEEDS_BOOTSTRAP, task, bootstrap)
    this.#set(QUARANTINED, task, waitingMessage(task, settled?.waiting))
    if (outcome !== 'failed' || wentBack !== undefined) this.#set(WENT_BACK, task, wentBack)
    if (outcome !== 'failed') this.#set(CHANGING, task, changing)
  }

  #set(code: (typeof PEER_ALARMS)[number], task: PollTask, message: string | undefined): void {
    const object = alarmObject(task.meshId, task.relationship, task.trustDomain)
    if (message === undefined) this.#options.alarms.clear(code, object)
    else this.#options.alarms.raise(code, object, { message })
  }
}

/** Counts polled domains by state and health into the metric; one statement. */
export async function measureRelationships(
  db: Db,
  { relationships }: Pick<Metrics, 'relationships'>,
): Promise<void> {
  const counts = await countPolls(db)
  relationships.reset()
  for (const { state, health, count } of counts) relationships.set({ state, health }, count)
}

/** Ends the alarms of a relationship that is no longer polled. */
export function clearPeerAlarms(
  alarms: Pick<Alarms, 'clear' | 'list'>,
  meshId: string,
  relationship: string,
): void {
  const prefix = alarmObject(meshId, relationship, '')
  for (const { code, object } of alarms.list()) {
    if (object.startsWith(prefix)) alarms.clear(code, object)
  }
}

function waitingMessage(
  { relationship, trustDomain }: PollTask,
  waiting: WaitingBundle | undefined,
): string | undefined {
  if (waiting === undefined) return undefined
  const next = `entente federation bundle diff ${relationship} --trust-domain ${trustDomain}`
  return `revision ${waiting.n} of ${trustDomain} waits for a decision: ${waiting.reason}; ${next}`
}

function alarmObject(meshId: string, relationship: string, trustDomain: string): string {
  return `${meshId}/${relationship}/${trustDomain}`
}

// A query may hold what a peer meant for us alone.
function withoutQuery(url: string): string {
  return url.split('?', 1)[0] ?? url
}
