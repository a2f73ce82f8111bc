import { isOwned, ownerScopeOf, requireOwned } from '../access/owner-scope.ts'
import { parseMeshId } from '../db/ids.ts'
import { type DbClock } from '../db/time.ts'
import { type App } from '../http/listener.ts'
import { isKnown, weakEtagOf } from '../http/weak-etag.ts'
import { MeshParams } from '../mesh/api.ts'
import { callerFacts } from './callers.ts'
import { parseServiceName } from './explain.ts'
import { pathOf, parseSpiffeId } from '../spiffe/spiffe-id.ts'
import { ResolveBody, ResolveQuery, Unchanged } from './resolve-api.ts'
import { viewResolution } from './resolve-view.ts'
import { resolve, type ResolveDeps } from './resolve.ts'

/** What the route of resolutions needs. */
export interface ResolveRoutesOptions extends ResolveDeps {
  readonly now: DbClock
}

/** How services are reached, for administrators. */
export const resolveRoutes = async (app: App, options: ResolveRoutesOptions): Promise<void> => {
  app.get(
    '/meshes/:meshId/resolve',
    {
      config: { action: 'policy.resolve' },
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
      const { service, of, port, caller, at, ...consumer } = request.query
      const subject = parseServiceName(service)
      const id = caller === undefined ? undefined : parseSpiffeId(caller)
      const namespace =
        consumer.namespace ?? (id === undefined ? undefined : callerFacts(pathOf(id)).namespace)
      const scope = ownerScopeOf(request.principal, 'policy.resolve', meshId)
      // Who answers for the one that asks may ask in its name; else only for services of one's own.
      if (namespace === undefined || !isOwned(scope, [namespace])) {
        const within = of === undefined ? [subject.namespace] : []
        requireOwned(scope, { title: `service ${service}`, within })
      }
      const now = await options.now(options.db)
      const resolution = await resolve(options, meshId, {
        subject,
        of,
        port,
        caller: id,
        consumer: { ...consumer, namespace },
        at: at === undefined ? now : new Date(at),
        now,
      })
      const view = viewResolution(resolution, namespace)
      const etag = weakEtagOf({ ...view, at: '', revision: '' })
      reply.header('etag', etag).header('cache-control', 'private, no-cache')
      if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send(null)
      return view
    },
  )
}
