import { isOwned, ownerScopeOf, type OwnerScope, requireOwned } from '../access/owner-scope.ts'
import { parseMeshId } from '../db/ids.ts'
import { type DbClock } from '../db/time.ts'
import { ServiceError } from '../errors.ts'
import { type App } from '../http/listener.ts'
import { isKnown, weakEtagOf } from '../http/weak-etag.ts'
import { MeshParams } from '../mesh/api.ts'
import { parseSpiffeId, pathOf } from '../spiffe/spiffe-id.ts'
import { callerFacts } from './callers.ts'
import { parseServiceName } from './explain.ts'
import { ResolveBody, ResolveQuery, type ResolveQueryView, Unchanged } from './resolve-api.ts'
import { viewResolution } from './resolve-view.ts'
import { resolve, type ResolveDeps, type ResolveQuestion } from './resolve.ts'
import { serviceKey } from './snapshot.ts'

/** What the route of resolutions needs. */
export interface ResolveRoutesOptions extends ResolveDeps {
  readonly now: DbClock
}

/** How services are reached, for administrators. */
export const resolveRoutes = async (app: App, options: ResolveRoutesOptions): Promise<void> => {
  app.get(
    '/meshes/:meshId/resolve',
    {
      config: { action: 'policy.resolve', narrows: true },
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
      checkOwner(ownerScopeOf(request.principal, 'policy.resolve', meshId), question)
      const resolution = await resolve(options, meshId, question)
      const view = viewResolution(resolution, question.consumer.namespace)
      const etag = weakEtagOf({ ...view, at: '', revision: '' })
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
    at: at === undefined ? now : new Date(at),
    now,
  }
}

/**
 * Whoever speaks for some namespaces only may ask how their services are reached, how one of their workloads reaches
 * another, and how they reach a peer's. Throws FORBIDDEN.
 */
function checkOwner(scope: OwnerScope, { subject, of, caller, consumer }: ResolveQuestion): void {
  const isForOwnWorkload = caller !== undefined || of !== undefined
  if (isForOwnWorkload && isOwned(scope, [consumer.namespace ?? ''])) return
  const within = of === undefined ? [subject.namespace] : []
  requireOwned(scope, { title: `service ${serviceKey(subject)}`, within })
}

function elsewhere(own: string, claimed: string | undefined): ServiceError {
  const detail = `the caller is in namespace ${own}, and namespace names ${claimed}`
  return new ServiceError('INVALID_REQUEST', detail, {
    fields: [{ in: 'querystring', pointer: '/namespace', detail }],
  })
}
