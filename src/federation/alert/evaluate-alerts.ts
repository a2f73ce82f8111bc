import { addSeconds } from '../../clock.ts'
import { chunksOf } from '../../db/chunks.ts'
import { inTransaction } from '../../db/connect.ts'
import { claimLease, holdsLease, type Lease } from '../../db/lease.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { type Logger } from '../../http/log.ts'
import { listLiving } from './alert-facts-store.ts'
import { type AlertEvent, eventOf } from './alert-events.ts'
import { type AlertSource } from './alert-source.ts'
import * as store from './alert-store.ts'
import { computeForecasts } from './compute-forecasts.ts'
import { type AlertPlan, planAlerts } from './plan-alerts.ts'
import { queueEvents } from './queue-events.ts'
import { readConditions } from './read-conditions.ts'
import { type Listener, listListeners } from './webhook-store.ts'

/** What the evaluation of alerts needs. */
export interface EvaluateDeps {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  /** This replica's name. */
  readonly owner: string
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** What features that federation knows nothing of have to tell. */
  readonly sources?: readonly AlertSource[]
}

/** Seconds for which a replica evaluates alone; longer than an evaluation of the largest service takes. */
const LEASE_SECONDS = 120

/** A replica that is silent for longer sees nothing any more. */
const REPLICA_SILENT_SECONDS = 60

/** Alerts changed by one transaction. */
const CHUNK = 500

/**
 * Opens, changes and closes the durable alerts so that they tell what the database says now.
 *
 * One replica at a time does it; every write is conditional on its lease. Answers whether it was this one.
 */
export async function evaluateAlerts(deps: EvaluateDeps): Promise<boolean> {
  const { db, now, owner } = deps
  const lease = await claimLease(db, 'alerts', { owner, seconds: LEASE_SECONDS, now })
  if (lease === undefined) return false
  const at = await now(db)
  await computeForecasts(db, at)
  const plan = await planNow(deps, at)
  await apply(deps, { lease, plan, at })
  return true
}

async function planNow({ db, sources }: EvaluateDeps, at: Date): Promise<AlertPlan> {
  const conditions = await readConditions(db, at, sources)
  const open = await store.listOpen(db, null)
  const ids = [...new Set(open.flatMap(({ relationshipId }) => relationshipId ?? []))]
  const living = new Set<string>()
  for (const some of chunks(ids)) {
    for (const id of await listLiving(db, some)) living.add(id)
  }
  const orphaned = await store.listOrphaned(db, addSeconds(at, -REPLICA_SILENT_SECONDS))
  const plan = planAlerts({ open, conditions, isLiving: (id) => living.has(id), now: at })
  return { ...plan, close: [...plan.close, ...orphaned] }
}

interface Evaluation {
  readonly lease: Lease
  readonly plan: AlertPlan
  readonly at: Date
}

/** Writes a plan, chunk by chunk; ends early when another replica has taken over. */
async function apply(deps: EvaluateDeps, { lease, plan, at }: Evaluation): Promise<void> {
  const steps: ((trx: Db) => Promise<AlertEvent[]>)[] = [
    ...chunks(plan.open).map((some) => async (trx: Db) => {
      const made = some.map((condition) => ({ ...condition, replica: undefined }))
      return (await store.insertAlerts(trx, made, at)).map((alert) =>
        eventOf('alert.opened', alert),
      )
    }),
    ...chunks(plan.change).map((some) => async (trx: Db) => {
      const changed = some.map(({ alert, to }) => ({ before: alert, after: changedTo(alert, to) }))
      await store.updateAlerts(
        trx,
        changed.map(({ after }) => after),
        at,
      )
      return changed
        .filter(({ before, after }) => before.severity !== after.severity)
        .map(({ before, after }) => eventOf('alert.changed', after, before.severity))
    }),
    ...chunks(plan.close).map(
      (some) => async (trx: Db) =>
        (await store.closeAlerts(trx, numbersOf(some), at)).map((alert) =>
          eventOf('alert.closed', alert),
        ),
    ),
    ...chunks(plan.seen).map((some) => async (trx: Db) => {
      await store.markSeen(trx, numbersOf(some), at)
      return []
    }),
    ...chunks(plan.missing).map((some) => async (trx: Db) => {
      await store.markMissing(trx, numbersOf(some), at)
      return []
    }),
  ]
  for (const step of steps) {
    const listeners = await listListeners(deps.db)
    const events = await inTransaction(deps.db, (trx) =>
      underLease(trx, { lease, step, listeners, at }),
    )
    if (events === undefined) return
    tellEvents(deps.log, events)
  }
}

interface Step {
  readonly lease: Lease
  readonly step: (trx: Db) => Promise<AlertEvent[]>
  readonly listeners: readonly Listener[]
  readonly at: Date
}

async function underLease(
  trx: Db,
  { lease, step, listeners, at }: Step,
): Promise<AlertEvent[] | undefined> {
  if (!(await holdsLease(trx, lease))) return undefined
  const events = await step(trx)
  await queueEvents(trx, events, { listeners, now: at })
  return events
}

/** One log line for each alert that began, changed or ended. */
export function tellEvents(
  log: Pick<Logger, 'info' | 'warn'>,
  events: readonly AlertEvent[],
): void {
  for (const { type, alert } of events) {
    const fields = {
      event: type,
      alarm: alert.code,
      meshId: alert.meshId,
      object: alert.object,
      kind: alert.severity,
      reason: alert.message,
    }
    if (type === 'alert.closed' || alert.severity === 'info') log.info(fields, 'alert')
    else log.warn(fields, 'alert')
  }
}

function changedTo(
  alert: store.Alert,
  { severity, message }: Pick<store.Alert, 'severity' | 'message'>,
): store.Alert {
  return { ...alert, severity, message }
}

function numbersOf(alerts: readonly store.Alert[]): bigint[] {
  return alerts.map(({ nr }) => nr)
}

function chunks<T>(all: readonly T[]): (readonly T[])[] {
  return [...chunksOf(all, CHUNK)]
}
