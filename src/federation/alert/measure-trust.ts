import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { type Metrics } from '../../http/metrics.ts'
import { countOpen } from './alert-store.ts'
import { countDeliveries } from './delivery-store.ts'
import { listMeshEnds, listMeshFigures, listSoonestEnds, pollLagSeconds } from './measure-store.ts'

/** Most relationships, and most meshes, that have a series of their own. */
export const MAX_SERIES = { relationships: 200, meshes: 1000 } as const

type TrustMetrics = Pick<
  Metrics,
  | 'alerts'
  | 'trustBreaks'
  | 'meshTrustBreaks'
  | 'bundleAge'
  | 'readersBehind'
  | 'pollLag'
  | 'webhookQueue'
>

/**
 * Measures what the database says of trust: the same on every replica, so dashboards take the maximum.
 *
 * Series are bounded: the relationships whose trust ends first have one each, and so has each of a thousand meshes.
 */
export async function measureTrust(db: Db, metrics: TrustMetrics, now: DbClock): Promise<void> {
  const at = await now(db)
  metrics.alerts.reset()
  for (const { code, severity, count } of await countOpen(db)) {
    metrics.alerts.set({ code, severity }, count)
  }
  const secondsTo = (moment: Date): number => (moment.getTime() - at.getTime()) / 1000
  const soonest = await listSoonestEnds(db, MAX_SERIES.relationships)
  metrics.trustBreaks.reset()
  for (const { meshId: mesh, relationship, endsAt } of soonest) {
    metrics.trustBreaks.set({ mesh, relationship }, secondsTo(endsAt))
  }
  const meshEnds = await listMeshEnds(db, MAX_SERIES.meshes)
  metrics.meshTrustBreaks.reset()
  for (const { meshId: mesh, endsAt } of meshEnds) {
    metrics.meshTrustBreaks.set({ mesh }, secondsTo(endsAt))
  }
  await measureMeshes(db, metrics, at)
  metrics.pollLag.set(await pollLagSeconds(db, at))
  metrics.webhookQueue.reset()
  for (const { state, count } of await countDeliveries(db)) {
    metrics.webhookQueue.set({ state }, count)
  }
}

async function measureMeshes(db: Db, metrics: TrustMetrics, now: Date): Promise<void> {
  const figures = await listMeshFigures(db, { now, limit: MAX_SERIES.meshes })
  metrics.bundleAge.reset()
  metrics.readersBehind.reset()
  for (const { meshId: mesh, oldestBundleSeconds, readersBehind } of figures) {
    if (oldestBundleSeconds !== undefined) metrics.bundleAge.set({ mesh }, oldestBundleSeconds)
    metrics.readersBehind.set({ mesh }, readersBehind)
  }
}
