import { inTransaction } from '../../db/connect.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { type Alarm, type Alarms } from '../../http/alarms.ts'
import { type Logger } from '../../http/log.ts'
import { alertCode } from './alert-codes.ts'
import { conditionKey } from './alert-conditions.ts'
import { type AlertEvent, eventOf } from './alert-events.ts'
import * as store from './alert-store.ts'
import { tellEvents } from './evaluate-alerts.ts'
import { CLEAR_AFTER_SECONDS } from './plan-alerts.ts'
import { queueEvents } from './queue-events.ts'
import { listListeners } from './webhook-store.ts'

/** What writing down the alarms of a replica needs. */
export interface SyncDeps {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  /** This replica's name. */
  readonly owner: string
  readonly alarms: Pick<Alarms, 'list' | 'clear'>
  readonly log: Pick<Logger, 'info' | 'warn'>
}

/**
 * Writes down what this replica alone sees as alerts of its own, and ends alarms of it that the database no longer
 * bears out: what one replica raised over a relationship that ended, or was repaired, on another would stay raised
 * for ever.
 */
export class AlarmSync {
  readonly #deps: SyncDeps
  /** Alarms without their alert, and since when. */
  readonly #unborne = new Map<string, Date>()

  constructor(deps: SyncDeps) {
    this.#deps = deps
  }

  /** One look; a few statements, no write while nothing changed. */
  async run(): Promise<void> {
    const now = await this.#deps.now(this.#deps.db)
    await this.#writeOwn(now)
    await this.#endUnborne(now)
  }

  async #writeOwn(now: Date): Promise<void> {
    const { db, owner, alarms, log } = this.#deps
    const own = alarms.list().filter(({ code }) => alertCode(code).seen === 'replica')
    const wanted = new Map(
      (await this.#asAlerts(own)).map((alert) => [conditionKey(alert), alert] as const),
    )
    const open = await store.listOpen(db, owner)
    const known = new Map(open.map((alert) => [conditionKey(alert), alert]))
    const made = [...wanted].flatMap(([key, alert]) => (known.has(key) ? [] : [alert]))
    const over = open.filter((alert) => !wanted.has(conditionKey(alert))).map(({ nr }) => nr)
    const changed = open.flatMap((alert) => {
      const to = wanted.get(conditionKey(alert))
      if (to === undefined || isSame(alert, to)) return []
      return [{ before: alert, after: { ...alert, severity: to.severity, message: to.message } }]
    })
    if (made.length + over.length + changed.length === 0) return
    const listeners = await listListeners(db)
    const events = await inTransaction(db, async (trx) => {
      await store.updateAlerts(
        trx,
        changed.map(({ after }) => after),
        now,
      )
      const found: AlertEvent[] = [
        ...(await store.insertAlerts(trx, made, now)).map((one) => eventOf('alert.opened', one)),
        ...changed
          .filter(({ before, after }) => before.severity !== after.severity)
          .map(({ before, after }) => eventOf('alert.changed', after, before.severity)),
        ...(await store.closeAlerts(trx, over, now)).map((one) => eventOf('alert.closed', one)),
      ]
      await queueEvents(trx, found, { listeners, now })
      return found
    })
    tellEvents(log, events)
  }

  async #asAlerts(alarms: readonly Alarm[]): Promise<store.NewAlert[]> {
    const { db, owner } = this.#deps
    const meshes = await store.meshesOfDomains(
      db,
      alarms.map(({ object }) => object),
    )
    return alarms.map(({ code, object, message, severity }) => ({
      meshId: meshes.get(object),
      relationshipId: undefined,
      code,
      object,
      replica: owner,
      severity: severity ?? alertCode(code).severities[0],
      message,
    }))
  }

  /** The alert may come a little after its alarm, so an alarm has a minute to be borne out. */
  async #endUnborne(now: Date): Promise<void> {
    const { db, alarms } = this.#deps
    const raised = alarms.list().filter(({ code }) => alertCode(code).seen === 'database')
    const keys = new Set(raised.map(alarmKey))
    for (const key of this.#unborne.keys()) if (!keys.has(key)) this.#unborne.delete(key)
    if (raised.length === 0) return
    const borne = new Set((await store.listOpen(db, null)).map(borneKey))
    for (const alarm of raised) {
      const key = alarmKey(alarm)
      const since = this.#unborne.get(key)
      if (borne.has(key)) this.#unborne.delete(key)
      else if (since === undefined) this.#unborne.set(key, now)
      else if (now.getTime() - since.getTime() >= CLEAR_AFTER_SECONDS * 1000) {
        alarms.clear(alarm.code, alarm.object)
      }
    }
  }
}

function isSame(alert: store.Alert, to: store.NewAlert): boolean {
  return alert.severity === to.severity && alert.message === to.message
}

function alarmKey({ code, object }: Pick<Alarm, 'code' | 'object'>): string {
  return `${code} ${object}`
}

/** In a process a relationship's alarm names its mesh in the object. */
function borneKey({ code, object, meshId }: store.Alert): string {
  const named = object.includes('/') ? `${meshId satisfies MeshId | undefined}/${object}` : object
  return alarmKey({ code, object: named })
}
