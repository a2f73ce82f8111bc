import { type FastifyRequest } from 'fastify'
import { type MeshId } from '../../db/ids.ts'
import { type DbClock } from '../../db/time.ts'
import { ServiceError } from '../../errors.ts'
import { type App } from '../../http/listener.ts'
import { type Logger } from '../../http/log.ts'
import { type Metrics } from '../../http/metrics.ts'
import { isKnown, weakEtagOf } from '../../http/weak-etag.ts'
import { pathOf, type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { callerFacts } from '../rule/callers.ts'
import { parseServiceName } from '../decision/service-name.ts'
import { logDecision } from './log-decision.ts'
import { WorkloadResolveBody, WorkloadResolveQuery, Unchanged } from './resolve-api.ts'
import { viewForWorkload } from './resolve-view.ts'
import { outcomeOf, resolve, type ResolveDeps } from './resolve.ts'

/** A workload of ours, as its X509-SVID and entry prove it. */
export interface ResolvingWorkload {
  readonly meshId: MeshId
  readonly spiffeId: SpiffeId
  /** The cluster that its entry is tied to, if it is. */
  readonly cluster: string | undefined
}

/** What the route for workloads needs. */
export interface WorkloadResolveOptions extends ResolveDeps {
  readonly now: DbClock
  readonly metrics: Pick<Metrics, 'resolutions'>
  readonly log: Pick<Logger, 'info'>
  /** Proves who asks and counts the request; throws AUTHENTICATION_REQUIRED, EVIDENCE_REFUSED, RATE_LIMITED. */
  readonly identify: (request: FastifyRequest) => Promise<ResolvingWorkload>
}

/**
 * How a workload reaches a service, asked by itself.
 *
 * Where a service is matters only to who may call it, so the question is a call by the SPIFFE ID of the SVID. Whoever
 * may not call gets the same answer as for a service that does not exist. Rules limited to clusters go by the entry
 * alone: a workload that no entry ties to one could name any.
 */
export const workloadResolveRoutes = async (
  app: App,
  options: WorkloadResolveOptions,
): Promise<void> => {
  app.get(
    '/resolve',
    {
      schema: {
        tags: ['workload'],
        summary: 'How the caller reaches a service that it may call, by the SVID that it shows',
        querystring: WorkloadResolveQuery,
        response: { 200: WorkloadResolveBody, 304: Unchanged },
      },
    },
    async (request, reply) => {
      const workload = await options.identify(request)
      const { service, of, port, ...consumer } = request.query
      const subject = parseServiceName(service)
      const cluster = clusterOf(workload, consumer.cluster)
      const { namespace } = callerFacts(pathOf(workload.spiffeId))
      const now = await options.now(options.db)
      const resolution = await resolve(options, workload.meshId, {
        subject,
        of,
        port,
        hidesPorts: true,
        hidesTopology: true,
        caller: workload.spiffeId,
        consumer: { ...consumer, cluster, namespace },
        cluster: workload.cluster,
        at: now,
        now,
      })
      options.metrics.resolutions.inc({ listener: 'workload', outcome: outcomeOf(resolution) })
      logDecision(options.log, workload.spiffeId, resolution)
      const view = viewForWorkload(resolution, namespace)
      if (view === undefined) throw notThere()
      const etag = weakEtagOf(view)
      reply.header('etag', etag).header('cache-control', 'private, no-cache')
      if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send(null)
      return view
    },
  )
}

/** A tied workload is where its entry says; any other is shown the ways from where it says it is. */
function clusterOf(
  { cluster, spiffeId }: ResolvingWorkload,
  claimed: string | undefined,
): string | undefined {
  if (cluster === undefined || claimed === undefined || claimed === cluster) {
    return cluster ?? claimed
  }
  const message = `${spiffeId} is tied to cluster ${cluster} and asks for another one`
  throw new ServiceError('FORBIDDEN', message, { next: 'leave out "cluster"' })
}

function notThere(): ServiceError {
  return new ServiceError('NOT_FOUND', 'there is no such service that this identity may call')
}
