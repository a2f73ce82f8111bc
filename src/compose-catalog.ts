import { endpointRoutes } from './catalog/endpoint-routes.ts'
import { forgetSilent, measureEndpoints } from './catalog/keep-endpoints.ts'
import { offerRoutes } from './catalog/offer-routes.ts'
import { serviceRoutes } from './catalog/routes.ts'
import { syncRoutes } from './catalog/sync-routes.ts'
import type { Base } from './compose-base.ts'
import type { App } from './http/listener.ts'
import { startTicker, type Ticker } from './ticker.ts'

/** Mounts services, their endpoints and the offers of peers under `/v1` of the admin listener. */
export function mountCatalog(v1: App, { database, now }: Base): void {
  const { db } = database
  v1.register(serviceRoutes, { db, now })
  v1.register(offerRoutes, { db, now })
  v1.register(endpointRoutes, { db, now })
  v1.register(syncRoutes, { db, now })
}

const HALF_MINUTE_MS = 30_000
const HOUR_MS = 3_600_000

/** Counts fresh endpoints, and forgets those whose reporter has been silent for a day. */
export function catalogTickers(base: Base): readonly Ticker[] {
  const { database, clock, log, now, metrics } = base
  const db = database.background
  return [
    startTicker({
      name: 'endpoint-counts',
      everyMs: HALF_MINUTE_MS,
      clock,
      log,
      run: async () => measureEndpoints(db, metrics.endpoints, await now(db)),
    }),
    startTicker({
      name: 'silent-reporters',
      everyMs: HOUR_MS,
      clock,
      log,
      run: async () => void (await forgetSilent(db, await now(db))),
    }),
  ]
}
