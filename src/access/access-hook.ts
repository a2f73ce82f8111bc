import type { FastifyRequest, RouteOptions } from 'fastify'
import type { Clock } from '../clock.ts'
import type { Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import type { App } from '../http/listener.ts'
import { ACTIONS, type Action, type ActionRule, isAction, type ScopeKind } from './actions.ts'
import { countHeader } from './admin-guard.ts'
import { Authenticator } from './authenticate.ts'
import { type Place, type Principal, isAllowed, scopeText } from './principal.ts'

/** The part of a logger that the access hook needs. */
export interface AccessLog {
  warn(fields: object, message: string): void
}

/** What the access hook needs. */
export interface AccessOptions {
  readonly db: Db
  readonly clock: Clock
  readonly log: AccessLog
  /** Counts refused logins by reason. */
  readonly onRefused?: (reason: string) => void
  /** Calls that one token may make a second, and ten times as many at once. */
  readonly callsPerSecond?: number | undefined
  /** Counts requests that were refused because their token asks too often. */
  readonly onLimited?: () => void
}

/**
 * Lets every route of this scope pass through the one table of actions: who asks (bearer token), and may they.
 *
 * Asks again when a body has come. Call it before the routes are registered: a route without a row of the table stops
 * the service at start.
 */
export function addAccess(app: App, options: AccessOptions): void {
  const authenticator = new Authenticator(options)
  app.decorateRequest('principal')
  app.addHook('onRoute', assertRow)
  const letIn = async (
    request: FastifyRequest,
    { isAgain }: { readonly isAgain: boolean },
  ): Promise<void> => {
    const principal = await authenticator.authenticate({
      authorization: request.headers.authorization,
      count: countHeader(request.raw.rawHeaders, 'authorization'),
      source: sourceOf(request),
      isAgain,
    })
    request.principal = principal
    authorize(request, principal)
  }
  app.addHook('onRequest', async (request) => letIn(request, { isAgain: false }))
  // A body may take its time, and its sender may have lost the right meanwhile.
  app.addHook('preHandler', async (request) => {
    if (request.body !== undefined) await letIn(request, { isAgain: true })
  })
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The handler hands access/owner-scope.ts' answer on to what it reads and writes. Without it a route that names
     * no cluster or namespace is closed to grants that are good for some of them only.
     */
    narrows?: boolean
  }
}

/** Scopes whose routes name the mesh. */
const OF_MESH: readonly ScopeKind[] = ['mesh', 'member', 'cluster', 'namespace']

/** Every route names its row, and rows for a mesh are used by routes that name the mesh. */
function assertRow(route: RouteOptions): void {
  const action: unknown = route.config?.action
  const name = `${String(route.method)} ${route.url}`
  if (!isAction(action)) {
    throw new Error(`route ${name} names no action of the table in access/actions.ts`)
  }
  if (OF_MESH.includes(ACTIONS[action].scope) && !/\/:meshId(?:\/|$)/.test(route.url)) {
    throw new Error(`route ${name} is for the action ${action} of one mesh and has no :meshId`)
  }
}

function authorize(request: FastifyRequest, principal: Principal): void {
  const { action, narrows = false } = request.routeOptions.config
  // A path that does not exist has no row; whoever is logged in may learn that it does not.
  if (action === undefined) return
  const place = placeOf(request, action, narrows)
  if (isAllowed(principal.grants, action, place)) return
  throw new ServiceError('FORBIDDEN', forbidden(principal, action, place), {
    next: 'ask an administrator for a grant that reaches further: entente grant create',
  })
}

/** What the route is about; nobody holds the empty name, so it closes a route that does not narrow to parts. */
function placeOf({ params }: FastifyRequest, action: Action, narrows: boolean): Place {
  const { meshId, cluster, namespace } = params as Place
  const { scope }: ActionRule = ACTIONS[action]
  const rest = narrows ? undefined : ''
  return {
    meshId,
    cluster: scope === 'cluster' ? (cluster ?? rest) : undefined,
    namespace: scope === 'namespace' ? (namespace ?? rest) : undefined,
  }
}

function forbidden(principal: Principal, action: Action, place: Place): string {
  const rule: ActionRule = ACTIONS[action]
  const held = principal.grants.map((grant) => `${grant.role} on ${scopeText(grant.scope)}`)
  const found = held.length === 0 ? 'no grant' : held.join(', ')
  const wanted = `${rule.roles.join(' or ')} on ${wantedScope(rule, place)}`
  return `${action} needs ${wanted}; ${principal.name} has ${found}`
}

function wantedScope({ scope }: ActionRule, { meshId, cluster, namespace }: Place): string {
  if (scope === 'everything') return 'everything'
  if (scope === 'some-mesh') return 'a mesh'
  const part = cluster ?? namespace ?? ''
  if (scope === 'member') return `mesh ${meshId} or a part of it`
  return part === '' ? `mesh ${meshId}` : `${scope} ${part} of mesh ${meshId}`
}

/** Where a request came from; the admin socket is one source, since only the service's own user can open it. */
function sourceOf(request: FastifyRequest): string {
  return request.raw.socket.remoteAddress ?? 'admin socket'
}
