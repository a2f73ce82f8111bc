import { type HeartbeatOutcome, type ReportOutcome } from './apply-report.ts'
import { type ReportedEndpoint } from './endpoint.ts'
import { type EndpointView, type HeartbeatView, type ReportView } from './report-api.ts'
import { namedOf } from './report.ts'
import { type ReporterKey } from './reporter-store.ts'

/** Heartbeats that may be lost before endpoints are stale, less one. */
const BEATS_PER_TTL = 3

/** An endpoint as the wire has it. */
export function viewEndpoint(endpoint: ReportedEndpoint): EndpointView {
  const { locality, isHealthy: healthy, freshUntil, ...rest } = endpoint
  return {
    ...rest,
    region: locality.region ?? null,
    zone: locality.zone ?? null,
    subzone: locality.subzone ?? null,
    healthy,
    freshUntil: freshUntil.toISOString(),
  }
}

/** The answer to an accepted report. */
export function viewReport({ cluster, reporter }: ReporterKey, outcome: ReportOutcome): ReportView {
  const { revision, ttlSeconds, freshUntil, endpoints, changed, removed, skipped } = outcome
  return {
    cluster,
    reporter,
    revision: String(revision),
    freshUntil: freshUntil.toISOString(),
    heartbeatSeconds: Math.floor(ttlSeconds / BEATS_PER_TTL),
    endpoints,
    changed,
    removed,
    skippedCount: skipped.length,
    skipped: namedOf(skipped).map((one) => ({ ...one })),
  }
}

/** The answer to a heartbeat. */
export function viewHeartbeat(
  { cluster }: Pick<ReporterKey, 'cluster'>,
  outcome: HeartbeatOutcome | undefined,
): HeartbeatView {
  if (outcome === undefined) return { cluster, revision: null, freshUntil: null, wantsFull: true }
  const { revision, freshUntil, wantsFull } = outcome
  return {
    cluster,
    revision: String(revision),
    freshUntil: freshUntil.toISOString(),
    wantsFull,
  }
}
