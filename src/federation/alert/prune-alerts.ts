import { addSeconds } from '../../clock.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { pruneAlerts } from './alert-store.ts'
import { pruneDeliveries } from './delivery-store.ts'

/** How long alerts are kept after they ended, and deliveries after they did. */
export const ALERT_RETENTION = { alertDays: 90, deliveryDays: 30 } as const

const DAY_SECONDS = 86_400

/** Deletes alerts and deliveries that ended long ago; answers how many. */
export async function pruneAlertHistory(db: Db, now: DbClock): Promise<bigint> {
  const at = await now(db)
  const { alertDays, deliveryDays } = ALERT_RETENTION
  const alerts = await pruneAlerts(db, addSeconds(at, -alertDays * DAY_SECONDS))
  const deliveries = await pruneDeliveries(db, addSeconds(at, -deliveryDays * DAY_SECONDS))
  return alerts + deliveries
}
