import { type FastifyRequest } from 'fastify'
import { applyDelta, applyFull, heartbeat, type ReporterKey } from '../catalog/apply-report.ts'
import {
  DeltaReportBody,
  FullReportBody,
  HeartbeatAnswerBody,
  HeartbeatBody,
  ReportBody,
} from '../catalog/report-api.ts'
import { viewHeartbeat, viewReport } from '../catalog/view-endpoint.ts'
import { type MeshId } from '../db/ids.ts'
import { inTransaction } from '../db/connect.ts'
import { quoted, ServiceError } from '../errors.ts'
import { Buckets } from '../federation/token-buckets.ts'
import { hearCluster } from '../mesh/topology/hear.ts'
import { type App, toServiceError } from '../http/listener.ts'
import { type Metrics } from '../http/metrics.ts'
import { type Callers } from './caller.ts'
import { type IssueDeps } from './deps.ts'
import { admitBySvid } from './evidence.ts'
import { callerOf } from './identify.ts'

/** What the routes of reporters need. */
export interface ReportRoutesOptions {
  readonly deps: Pick<IssueDeps, 'db' | 'now' | 'clock' | 'reader' | 'reattestAfterSeconds'>
  readonly callers: Callers
  readonly metrics: Pick<Metrics, 'reports'>
}

/** Bytes of a report: 10,000 endpoints with long names fit. */
const REPORT_LIMIT_BYTES = 4 * 1024 * 1024
/** A heartbeat every 3 s and a report now and then, at most; a reporter that starts over may hurry for a moment. */
const RATE = { perSecond: 1, burst: 20 }

/**
 * The workload listener for reporters: callers whose X509-SVID is of an entry that is tied to a cluster. A report
 * touches only what this reporter says of that cluster.
 */
export const reportRoutes = async (app: App, options: ReportRoutesOptions): Promise<void> => {
  const { deps, callers, metrics } = options
  const { db, now } = deps
  const buckets = new Buckets(deps.clock, RATE)
  // Before the body is read: who is nobody, or too busy, sends no four megabytes.
  app.addHook('onRequest', async (request) => {
    buckets.take(callerOf(request, callers).svid.id)
  })
  const count = (request: FastifyRequest, outcome: string): void =>
    metrics.reports.inc({ kind: KINDS.get(request.method) ?? 'other', outcome })
  app.addHook('onError', async (request, _reply, error) =>
    count(request, toServiceError(error).code),
  )
  app.addHook('onResponse', async (request, reply) => {
    if (reply.statusCode < 400) count(request, 'accepted')
  })

  app.put(
    '/reports/endpoints',
    {
      bodyLimit: REPORT_LIMIT_BYTES,
      schema: {
        tags: ['reports'],
        summary: 'Everything that a reporter sees of its cluster; what it no longer names goes',
        body: FullReportBody,
        response: { 200: ReportBody },
      },
    },
    async (request) => {
      const { meshId, ...key } = await reporterOf(options, request)
      const { endpoints, ttlSeconds, intentional } = request.body
      const outcome = await inTransaction(db, async (trx) => {
        const reporting = { ...key, now: await now(trx) }
        return applyFull(trx, meshId, { reporting, endpoints, ttlSeconds, intentional })
      })
      return viewReport(key, outcome)
    },
  )

  app.patch(
    '/reports/endpoints',
    {
      bodyLimit: REPORT_LIMIT_BYTES,
      schema: {
        tags: ['reports'],
        summary: 'What changed since the last accepted report',
        body: DeltaReportBody,
        response: { 200: ReportBody },
      },
    },
    async (request) => {
      const { meshId, ...key } = await reporterOf(options, request)
      const { upserts = [], removals = [] } = request.body
      const afterRevision = BigInt(request.body.afterRevision)
      const outcome = await inTransaction(db, async (trx) => {
        const reporting = { ...key, now: await now(trx) }
        return applyDelta(trx, meshId, { reporting, afterRevision, upserts, removals })
      })
      return viewReport(key, outcome)
    },
  )

  app.post(
    '/reports/heartbeat',
    {
      schema: {
        tags: ['reports'],
        summary: 'Keep what was reported fresh, and say which control planes and gateways live',
        body: HeartbeatBody,
        response: { 200: HeartbeatAnswerBody },
      },
    },
    async (request) => {
      const { meshId, ...key } = await reporterOf(options, request)
      const { controlPlanes = [], gateways = [] } = request.body
      const outcome = await inTransaction(db, async (trx) => {
        const reporting = { ...key, now: await now(trx) }
        await hearCluster(trx, meshId, { ...reporting, controlPlanes, gateways })
        return heartbeat(trx, meshId, reporting)
      })
      return viewHeartbeat(key, outcome)
    },
  )
}

const KINDS: ReadonlyMap<string, string> = new Map([
  ['PUT', 'full'],
  ['PATCH', 'delta'],
  ['POST', 'heartbeat'],
])

/**
 * Who reports, and of which cluster: as its entry says, whose SVID must hold as for a renewal.
 *
 * Throws EVIDENCE_REFUSED, FORBIDDEN (its entry is tied to no cluster, or the body names another one).
 */
async function reporterOf(
  { deps, callers }: ReportRoutesOptions,
  request: FastifyRequest<{ Body: { cluster?: string } }>,
): Promise<ReporterKey & { readonly meshId: MeshId }> {
  const caller = callerOf(request, callers)
  const { reader, reattestAfterSeconds, clock } = deps
  const { entry } = await admitBySvid(caller, { reader, reattestAfterSeconds, now: clock.now() })
  const { cluster, spiffeId: reporter } = entry
  const { cluster: named } = request.body
  if (cluster === undefined) throw tiedToNone(reporter)
  if (named === undefined || named === cluster) return { meshId: caller.meshId, cluster, reporter }
  throw new ServiceError(
    'FORBIDDEN',
    `${reporter} reports cluster ${cluster}, not ${quoted(named)}`,
    { next: `entente entry change ${reporter} --cluster CLUSTER, or report by another identity` },
  )
}

function tiedToNone(id: string): ServiceError {
  return new ServiceError('FORBIDDEN', `${id} is tied to no cluster, so it can report nothing`, {
    next: `entente entry change ${id} --cluster CLUSTER`,
  })
}
