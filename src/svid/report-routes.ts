import { type FastifyRequest } from 'fastify'
import { applyDelta, applyFull, heartbeat, type Reporting } from '../catalog/apply-report.ts'
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
import { type Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { Buckets } from '../http/token-buckets.ts'
import { hearCluster } from '../mesh/topology/hear.ts'
import { type App, toServiceError } from '../http/listener.ts'
import { type Metrics } from '../http/metrics.ts'
import { holdTied } from '../registry/cluster-entries.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
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
  const buckets = new Buckets(deps.clock, RATE)
  const reporters = new WeakMap<FastifyRequest, Reporter>()
  // Before the body is read: who is nobody, no reporter, or too busy, sends no four megabytes.
  app.addHook('onRequest', async (request) => {
    buckets.take(callerOf(request, callers).svid.id)
    reporters.set(request, await reporterOf(options, request))
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
      const { endpoints, ttlSeconds, intentional } = request.body
      const key = namedIn(request, reporters.get(request))
      const outcome = await taken(deps, key, (trx, reporting) =>
        applyFull(trx, key.meshId, { reporting, endpoints, ttlSeconds, intentional }),
      )
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
      const { upserts = [], removals = [] } = request.body
      const afterRevision = BigInt(request.body.afterRevision)
      const key = namedIn(request, reporters.get(request))
      const outcome = await taken(deps, key, (trx, reporting) =>
        applyDelta(trx, key.meshId, { reporting, afterRevision, upserts, removals }),
      )
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
      const { controlPlanes = [], gateways = [] } = request.body
      const key = namedIn(request, reporters.get(request))
      const outcome = await taken(deps, key, async (trx, reporting) => {
        await hearCluster(trx, key.meshId, { ...reporting, controlPlanes, gateways })
        return heartbeat(trx, key.meshId, reporting)
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

/** Who reports, of which cluster, and the entry that says so. */
interface Reporter {
  readonly meshId: MeshId
  readonly entryId: string
  readonly cluster: string
  readonly reporter: SpiffeId
}

/**
 * Who reports, and of which cluster: as its entry says, whose SVID must hold as for a renewal.
 *
 * Throws EVIDENCE_REFUSED, FORBIDDEN (its entry is tied to no cluster).
 */
async function reporterOf(
  { deps, callers }: ReportRoutesOptions,
  request: FastifyRequest,
): Promise<Reporter> {
  const caller = callerOf(request, callers)
  const { reader, reattestAfterSeconds, clock } = deps
  const { entry } = await admitBySvid(caller, { reader, reattestAfterSeconds, now: clock.now() })
  const { cluster, spiffeId: reporter, id: entryId } = entry
  if (cluster === undefined) throw tiedToNone(reporter)
  return { meshId: caller.meshId, cluster, reporter, entryId }
}

/** The reporter of a request whose body names its cluster or none; throws FORBIDDEN for another one. */
function namedIn(
  { body }: FastifyRequest<{ Body: { cluster?: string } }>,
  found: Reporter | undefined,
): Reporter {
  if (found === undefined) throw new Error('a report without a reporter')
  const { cluster, reporter } = found
  if (body.cluster === undefined || body.cluster === cluster) return found
  throw new ServiceError(
    'FORBIDDEN',
    `${reporter} reports cluster ${cluster}, not ${quoted(body.cluster)}`,
    { next: `entente entry change ${reporter} --cluster CLUSTER, or report by another identity` },
  )
}

/**
 * Takes what a reporter says in one transaction, in which its entry stays tied to the cluster: whoever unties it
 * waits, and then finds what was taken. Throws CONFLICT where that happened while the body was on its way.
 */
async function taken<T>(
  { db, now }: ReportRoutesOptions['deps'],
  { meshId, entryId: id, ...key }: Reporter,
  take: (trx: Db, reporting: Reporting) => Promise<T>,
): Promise<T> {
  return inTransaction(db, async (trx) => {
    if (!(await holdTied(trx, meshId, { ...key, id }))) throw untied(key.reporter)
    return take(trx, { ...key, now: await now(trx) })
  })
}

function untied(id: string): ServiceError {
  return new ServiceError('CONFLICT', `the entry of ${id} went or left its cluster meanwhile`, {
    next: 'send the report again',
  })
}

function tiedToNone(id: string): ServiceError {
  return new ServiceError('FORBIDDEN', `${id} is tied to no cluster, so it can report nothing`, {
    next: `entente entry change ${id} --cluster CLUSTER`,
  })
}
