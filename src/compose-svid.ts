import type { Base } from './compose-base.ts'
import type { Endpoints } from './compose-endpoints.ts'
import type { Federation } from './federation/open-federation.ts'
import type { App } from './http/listener.ts'
import { entryRoutes } from './registry/entry-routes.ts'
import { joinTokenRoutes } from './registry/join-token-routes.ts'
import { Callers } from './svid/caller.ts'
import { REATTEST_AFTER_SECONDS } from './svid/evidence.ts'
import { OwnBundles } from './svid/own-bundles.ts'
import { keepRecords } from './svid/prune.ts'
import { RateLimiter } from './svid/rate-limit.ts'
import { IssuedReader, IssuedWriter } from './svid/record-issued.ts'
import { type ReportRoutesOptions, reportRoutes } from './svid/report-routes.ts'
import { svidRoutes, type SvidRoutesOptions } from './svid/routes.ts'
import { startTicker, type Ticker } from './ticker.ts'

/** What the issuing of SVIDs to workloads needs of the parts below it. */
export interface SvidParts {
  readonly endpoints: Pick<Endpoints, 'bundles' | 'signers' | 'presence'>
  readonly federation: Pick<Federation, 'peerBundles'>
}

/** What the routes of the workload listener stand on. */
export type SvidOptions = SvidRoutesOptions & ReportRoutesOptions

/** Makes the issuing of SVIDs; nothing is loaded or listens yet. */
export function buildSvids(base: Base, { endpoints, federation }: SvidParts): SvidOptions {
  const { database, clock, now, metrics } = base
  const { db } = database
  const bundles = new OwnBundles(endpoints.bundles)
  const deps = {
    db,
    now,
    clock,
    signers: endpoints.signers,
    bundles,
    peers: federation.peerBundles,
    writer: new IssuedWriter(db),
    reader: new IssuedReader(db),
    limiter: new RateLimiter({ clock, replicas: () => endpoints.presence.living }),
    reattestAfterSeconds: REATTEST_AFTER_SECONDS,
  }
  return { deps, callers: new Callers(bundles, clock), metrics }
}

/** Mounts entries and join tokens under `/v1` of the admin listener. */
export function mountRegistryAdmin(v1: App, base: Base, workloadUrl: string): void {
  const { database, now } = base
  v1.register(entryRoutes, { db: database.db, now })
  v1.register(joinTokenRoutes, { db: database.db, now, workloadUrl })
}

/** Mounts what workloads ask for and what reporters say. */
export function mountSvids(app: App, options: SvidOptions): void {
  app.register(svidRoutes, { prefix: '/v1', ...options })
  app.register(reportRoutes, { prefix: '/v1', ...options })
}

const QUARTER_HOUR_MS = 15 * 60_000

/** Keeps the record of issued SVIDs and the join tokens from growing without end. */
export function svidTickers(base: Base): readonly Ticker[] {
  const { database, clock, log, now } = base
  const deps = { db: database.background, now, log }
  const everyMs = QUARTER_HOUR_MS
  const run = (): Promise<void> => keepRecords(deps)
  return [startTicker({ name: 'svid-records', everyMs, clock, log, run })]
}
