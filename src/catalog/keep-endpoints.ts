import { type Db } from '../db/schema.ts'
import { countByCluster, pruneReporters } from './reporter-store.ts'

/** Hours after which a silent reporter is forgotten with what it reported; stale since long before. */
const FORGOTTEN_AFTER_HOURS = 24
/** Clusters with a number of their own among the metrics. */
const MOST_CLUSTERS = 100

/** Forgets reporters that have been silent for a day, with their endpoints; answers with how many. */
export async function forgetSilent(db: Db, now: Date): Promise<number> {
  return pruneReporters(db, new Date(now.getTime() - FORGOTTEN_AFTER_HOURS * 3_600_000))
}

/** A gauge by mesh and cluster. */
export interface EndpointGauge {
  reset(): void
  set(labels: { mesh: string; cluster: string }, value: number): void
}

/** Sets the number of fresh endpoints of each cluster; those beyond the hundred largest are summed as `other`. */
export async function measureEndpoints(db: Db, gauge: EndpointGauge, now: Date): Promise<void> {
  const counts = await countByCluster(db, now)
  gauge.reset()
  for (const { meshId, cluster, count } of counts.slice(0, MOST_CLUSTERS)) {
    gauge.set({ mesh: meshId, cluster }, count)
  }
  const rest = counts.slice(MOST_CLUSTERS)
  if (rest.length === 0) return
  const sum = rest.reduce((total, { count }) => total + count, 0)
  gauge.set({ mesh: 'other', cluster: 'other' }, sum)
}
