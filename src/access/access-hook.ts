import type { FastifyRequest, RouteOptions } from 'fastify'
import type { Clock } from '../clock.ts'
import type { Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import type { App } from '../http/listener.ts'
import { ACTIONS, type ActionRule, isAction } from './actions.ts'
import { countHeader } from './admin-guard.ts'
import { Authenticator } from './authenticate.ts'
import { type Principal, isAllowed, scopeText } from './principal.ts'

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
}

/**
 * Lets every route of this scope pass through the one table of actions: who asks (bearer token), and may they.
 *
 * Call it before the routes are registered: a route without a row of the table stops the service at start.
 */
export function addAccess(app: App, options: AccessOptions): void {
  const authenticator = new Authenticator(options)
  app.decorateRequest('principal')
  app.addHook('onRoute', assertRow)
  app.addHook('onRequest', async (request) => {
    const principal = await authenticator.authenticate({
      authorization: request.headers.authorization,
      count: countHeader(request.raw.rawHeaders, 'authorization'),
      source: sourceOf(request),
    })
    request.principal = principal
    authorize(request, principal)
  })
}

/** Every route names its row, and rows for a mesh are used by routes that name the mesh. */
function assertRow(route: RouteOptions): void {
  const action: unknown = route.config?.action
  const name = `${String(route.method)} ${route.url}`
  if (!isAction(action)) {
    throw new Error(`route ${name} names no action of the table in access/actions.ts`)
  }
  if (ACTIONS[action].scope === 'mesh' && !/\/:meshId(?:\/|$)/.test(route.url)) {
    throw new Error(`route ${name} is for the action ${action} of one mesh and has no :meshId`)
  }
}

function authorize(request: FastifyRequest, principal: Principal): void {
  const action = request.routeOptions.config.action
  // A path that does not exist has no row; whoever is logged in may learn that it does not.
  if (action === undefined) return
  const params = request.params as { readonly meshId?: string }
  if (isAllowed(principal.grants, action, params.meshId)) return
  throw new ServiceError('FORBIDDEN', forbidden(principal, action, params.meshId), {
    next: 'ask a platform-admin for a token that reaches further: entente api-token create',
  })
}

function forbidden(
  principal: Principal,
  action: keyof typeof ACTIONS,
  meshId: string | undefined,
): string {
  const rule: ActionRule = ACTIONS[action]
  const wanted = rule.scope === 'mesh' ? `mesh ${meshId}` : 'everything'
  const held = principal.grants.map((grant) => `${grant.role} on ${scopeText(grant.scope)}`)
  const found = held.length === 0 ? 'no grant' : held.join(', ')
  return `${action} needs ${rule.roles.join(' or ')} on ${wanted}; ${principal.name} has ${found}`
}

/** Where a request came from; the admin socket is one source, since only the service's own user can open it. */
function sourceOf(request: FastifyRequest): string {
  return request.raw.socket.remoteAddress ?? 'admin socket'
}
