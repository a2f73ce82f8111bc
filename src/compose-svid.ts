import type { Base } from './compose-base.ts'
import type { Endpoints } from './compose-endpoints.ts'
import type { Federation } from './federation/open-federation.ts'
import { messageOf } from './errors.ts'
import type { App } from './http/listener.ts'
import { entryRoutes } from './registry/entry-routes.ts'
import { joinTokenRoutes } from './registry/join-token-routes.ts'
import { Callers } from './svid/caller.ts'
import { REATTEST_AFTER_SECONDS } from './svid/evidence.ts'
import { OwnBundles } from './svid/own-bundles.ts'
import { keepRecords } from './svid/prune.ts'
import { IssuanceUsage, pruneUsage, USAGE_EVERY_MS } from './svid/issuance-usage.ts'
import { RateLimiter, rateLimits } from './svid/rate-limit.ts'
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
export type SvidOptions = SvidRoutesOptions &
  ReportRoutesOptions & { readonly usage: IssuanceUsage }

/** Makes the issuing of SVIDs; nothing is loaded or listens yet. */
export function buildSvids(base: Base, { endpoints, federation }: SvidParts): SvidOptions {
  const { database, clock, now, metrics } = base
  const { db } = database
  const bundles = new OwnBundles(endpoints.bundles)
  const usage = new IssuanceUsage(clock)
  const deps = {
    db,
    now,
    clock,
    signers: endpoints.signers,
    bundles,
    peers: federation.peerBundles,
    writer: new IssuedWriter(db),
    reader: new IssuedReader(db),
    usage,
    limiter: makeLimiter(base, endpoints.presence),
    reattestAfterSeconds: REATTEST_AFTER_SECONDS,
  }
  return { deps, callers: new Callers(bundles, clock), metrics, usage }
}

function makeLimiter(
  { config, clock, metrics }: Base,
  presence: Pick<SvidParts['endpoints']['presence'], 'living'>,
): RateLimiter {
  return new RateLimiter({
    clock,
    limits: rateLimits(config.MESH_REQUESTS_PER_SECOND),
    replicas: () => presence.living,
    onRefused: (limit) => metrics.rateLimited.inc({ limit }),
  })
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
const DAY_MS = 86_400_000

/** Keeps the record of issued SVIDs and the join tokens from growing without end. */
export function svidTickers(base: Base, { usage }: SvidOptions): readonly Ticker[] {
  const { database, clock, log, now } = base
  const deps = { db: database.background, now, log }
  const everyMs = QUARTER_HOUR_MS
  const run = (): Promise<void> => keepRecords(deps)
  return [
    startTicker({ name: 'svid-records', everyMs, clock, log, run }),
    usageTicker(base, usage),
    startTicker({
      name: 'svid-usage-pruning',
      everyMs: DAY_MS,
      clock,
      log,
      run: async () => void (await pruneUsage(deps.db, await now(deps.db))),
    }),
  ]
}

/** Stops after one last time: what was counted since the one before is stored too. */
function usageTicker({ database, clock, log }: Base, usage: IssuanceUsage): Ticker {
  const run = (): Promise<void> => usage.refresh(database.background)
  const ticker = startTicker({ name: 'svid-usage', everyMs: USAGE_EVERY_MS, clock, log, run })
  return {
    kick: () => {
      ticker.kick()
    },
    stop: async () => {
      await ticker.stop()
      await run().catch((error: unknown) => {
        log.warn({ event: 'svid.usage-lost', error: messageOf(error) }, 'counts of SVIDs were lost')
      })
    },
  }
}
