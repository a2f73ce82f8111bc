import { isOwned, ownerScopeOf, type OwnerScope, requireOwned } from '../../access/owner-scope.ts'
import { parseMeshId } from '../../db/ids.ts'
import { type DbClock } from '../../db/time.ts'
import { ServiceError } from '../../errors.ts'
import { type App } from '../../http/listener.ts'
import { type Metrics } from '../../http/metrics.ts'
import { isKnown, weakEtagOf } from '../../http/weak-etag.ts'
import { MeshParams } from '../../mesh/api.ts'
import { parseSpiffeId, pathOf } from '../../spiffe/spiffe-id.ts'
import { lostName } from '../binding/lost-name.ts'
import { callerFacts } from '../rule/callers.ts'
import { parseServiceName } from '../decision/service-name.ts'
import {
  ResolveBody,
  ResolveQuery,
  type ResolveQueryView,
  type ResolveView,
  Unchanged,
} from './resolve-api.ts'
import { viewResolution } from './resolve-view.ts'
import {
  outcomeOf,
  type Resolution,
  resolve,
  type ResolveDeps,
  type ResolveQuestion,
} from './resolve.ts'
import { serviceKey } from '../snapshot/snapshot.ts'

/** What the route of resolutions needs. */
export interface ResolveRoutesOptions extends ResolveDeps {
  readonly now: DbClock
  readonly metrics: Pick<Metrics, 'resolutions'>
}

/** How services are reached, for administrators. */
export const resolveRoutes = async (app: App, options: ResolveRoutesOptions): Promise<void> => {
  app.get(
    '/meshes/:meshId/resolve',
    {
      config: { action: 'policy.resolve', narrows: true, etag: [200, 304], ifNoneMatch: true },
      schema: {
        tags: ['services'],
        summary: 'How a service is reached from a network: addresses, gateways, or why not',
        params: MeshParams,
        querystring: ResolveQuery,
        response: { 200: ResolveBody, 304: Unchanged },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const question = readQuestion(request.query, await options.now(options.db))
      const scope = ownerScopeOf(request.principal, 'policy.resolve', meshId)
      const hidesPorts = !speaksFor(scope, question)
      // When the rules about others' services end is their owners' to know.
      const looksAhead = hidesPorts && request.query.at !== undefined
      if (looksAhead || !isForOwnWorkload(scope, question)) requireSubject(scope, question)
      const resolution = await resolve(options, meshId, { ...question, hidesPorts })
      options.metrics.resolutions.inc({ listener: 'admin', outcome: outcomeOf(resolution) })
      const view = viewFor(scope, question, resolution)
      const etag = weakEtagOf({ ...view, at: '', revision: null })
      reply.header('etag', etag).header('cache-control', 'private, no-cache')
      if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send(null)
      return view
    },
  )
}

function readQuestion(query: ResolveQueryView, now: Date): ResolveQuestion {
  const { service, of, port, caller, at, ...consumer } = query
  const id = caller === undefined ? undefined : parseSpiffeId(caller)
  const own = id === undefined ? undefined : callerFacts(pathOf(id)).namespace
  const { namespace = own } = consumer
  if (own !== undefined && own !== namespace) throw elsewhere(own, namespace)
  return {
    subject: parseServiceName(service),
    of,
    port,
    caller: id,
    consumer: { ...consumer, namespace },
    cluster: consumer.cluster,
    at: at === undefined ? now : new Date(at),
    now,
  }
}

/**
 * Whether it is asked how a workload of one's own namespaces reaches something, or they reach a peer's service; a
 * caller whose path names no namespace is in nobody's, whatever the question says.
 */
function isForOwnWorkload(scope: OwnerScope, { of, caller, consumer }: ResolveQuestion): boolean {
  if (caller === undefined && of === undefined) return false
  const { namespace } = caller === undefined ? consumer : callerFacts(pathOf(caller))
  return isOwned(scope, namespace === undefined ? [] : [namespace])
}

/** Whether the service is one's own, or a peer's, whose offer is for everybody here to read. */
function speaksFor(scope: OwnerScope, { of, subject }: ResolveQuestion): boolean {
  return of !== undefined || isOwned(scope, [subject.namespace])
}

/** Only who speaks for a service of ours is shown the rules about it; throws FORBIDDEN. */
function requireSubject(scope: OwnerScope, { subject, of }: ResolveQuestion): void {
  const within = of === undefined ? [subject.namespace] : []
  requireOwned(scope, { title: `service ${serviceKey(subject)}`, within })
}

/**
 * What somebody may read of a resolution: of others' services only the ways that their own workloads would be told,
 * and where they are not for them the same refusal as without a workload of their own.
 */
function viewFor(
  scope: OwnerScope,
  question: ResolveQuestion,
  resolution: Resolution,
): ResolveView {
  const { namespace } = question.consumer
  if (scope === undefined) return viewResolution(resolution, namespace)
  const { snapshot, query, lost } = resolution
  const told = lost && lostName({ ...snapshot, ownerScope: scope }, query)
  const view = { ...viewResolution({ ...resolution, lost: told }, namespace), revision: null }
  if (speaksFor(scope, question)) return view
  if (view.decision === 'deny') requireSubject(scope, question)
  return { ...view, steps: [] }
}

function elsewhere(own: string, claimed: string | undefined): ServiceError {
  const detail = `the caller is in namespace ${own}, and namespace names ${claimed}`
  return new ServiceError('INVALID_REQUEST', detail, {
    fields: [{ in: 'querystring', pointer: '/namespace', detail }],
  })
}
