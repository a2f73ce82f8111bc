import type { Base } from './compose-base.ts'
import type { App } from './http/listener.ts'
import { resolveRoutes } from './policy/resolve/resolve-routes.ts'
import { workloadResolveRoutes } from './policy/resolve/resolve-workload-routes.ts'
import type { Snapshots } from './policy/snapshot/snapshots.ts'
import { type IdentifyDeps, identifyWorkload } from './svid/identify.ts'

/** What the resolving of services stands on. */
export interface ResolveParts {
  readonly snapshots: Snapshots
  readonly svids: IdentifyDeps
}

/** Mounts how services are reached under `/v1` of the admin listener. */
export function mountResolve(v1: App, base: Base, { snapshots }: ResolveParts): void {
  const { database, metrics, now } = base
  v1.register(resolveRoutes, { db: database.db, now, metrics, snapshots })
}

/** Mounts the same for workloads: who asks is found as for bundles, and counts against the same limits. */
export function mountWorkloadResolve(app: App, base: Base, parts: ResolveParts): void {
  const { database, metrics, now, log } = base
  app.register(workloadResolveRoutes, {
    prefix: '/v1',
    db: database.db,
    now,
    metrics,
    log,
    snapshots: parts.snapshots,
    identify: (request) => identifyWorkload(parts.svids, request),
  })
}
