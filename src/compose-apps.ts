import { readFileSync } from 'node:fs'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { type AccessOptions, addAccess } from './access/access-hook.ts'
import { guardAdmin } from './access/admin-guard.ts'
import { addIdempotency } from './access/idempotency.ts'
import { grantRoutes } from './access/grant-routes.ts'
import { ownerMeshesOf } from './access/owner-scope.ts'
import { quotaRoutes } from './access/quota/quota-routes.ts'
import { accessRoutes } from './access/routes.ts'
import { auditRoutes } from './audit/routes.ts'
import { mountAdoption, mountSignedBundles } from './compose-adopt.ts'
import { mountAlerting } from './compose-alerts.ts'
import type { Base } from './compose-base.ts'
import { mountCatalog } from './compose-catalog.ts'
import { mountDeclarative } from './compose-declarative.ts'
import { mountBundleEndpoint, mountEndpointAdmin } from './compose-endpoints.ts'
import { mountExchange, mountMove } from './compose-exchange.ts'
import { mountFederationAdmin, mountRelay } from './compose-federation.ts'
import { mountHandshake, mountInviteAdmin } from './compose-invites.ts'
import type { Parts } from './compose-parts.ts'
import { mountResolve, mountWorkloadResolve } from './compose-resolve.ts'
import { mountRegistryAdmin, mountSvids } from './compose-svid.ts'
import { mountTopology } from './compose-topology.ts'
import { isServiceError } from './errors.ts'
import { telemetryRoutes } from './http/health.ts'
import { type App, type AppOptions, type ListenerName, createApp } from './http/listener.ts'
import { openApiOptions } from './http/openapi.ts'
import { bindingRoutes } from './policy/binding/binding-routes.ts'
import { explainRoutes } from './policy/explain/explain-routes.ts'
import { lintRoutes } from './policy/lint/lint-routes.ts'
import { hasRegisteredPath } from './registry/registered-path.ts'
import { ruleRoutes } from './policy/change/rule-routes.ts'

/** The four listeners, built and not yet listening. */
export type Apps = Readonly<Record<ListenerName, App>>

/** Builds all listeners and mounts every route. */
export async function mountApps(base: Base, parts: Parts): Promise<Apps> {
  return {
    telemetry: mountTelemetry(base),
    admin: await mountAdmin(base, parts),
    federation: mountFederation(base, parts),
    workload: mountWorkload(base, parts),
  }
}

function mountTelemetry(base: Base): App {
  const { log, metrics, readiness, alarms } = base
  const app = createApp({ name: 'telemetry', log, metrics, maxConnections: 256 })
  app.register(telemetryRoutes, { metrics, readiness, alarms })
  return app
}

async function mountAdmin(base: Base, parts: Parts): Promise<App> {
  const { log, metrics } = base
  const app = createApp({ name: 'admin', log, metrics, maxConnections: 1024, ...adminTls(base) })
  guardAdmin(app, { hosts: base.config.ADMIN_HOSTS })
  await app.register(swagger, openApiOptions())
  await app.register(swaggerUi, { routePrefix: '/docs' })
  await app.register(async (v1: App) => mountAdminApi(v1, base, parts), { prefix: '/v1' })
  return app
}

/** Everything under `/v1`: each route passes through the table of actions. */
function mountAdminApi(v1: App, base: Base, parts: Parts): void {
  const { database, log, now } = base
  const { db } = database
  addAccess(v1, accessOptions(base))
  addIdempotency(v1, { db, now, log })
  v1.register(accessRoutes, { db, now })
  v1.register(grantRoutes, { db, now })
  v1.register(quotaRoutes, { db, now })
  v1.addHook('onError', async (_request, _reply, error) => {
    if (isServiceError(error, 'QUOTA_EXCEEDED')) base.metrics.quotaRefusals.inc()
  })
  v1.register(auditRoutes, {
    db,
    key: parts.auditKey,
    meshesOf: ({ principal }) => ownerMeshesOf(principal, 'audit.list'),
  })
  mountEndpointAdmin(v1, base, { endpoints: parts.endpoints, hooks: parts.hooks })
  mountTopology(v1, base)
  mountAdoption(v1, base, parts)
  mountSignedBundles(v1, base, parts.endpoints)
  mountFederationAdmin(v1, parts.federation)
  mountMove(v1, base, parts.exchange)
  mountInviteAdmin(v1, parts)
  mountDeclarative(v1, base)
  mountCatalog(v1, base)
  v1.register(ruleRoutes, { db, now })
  const { anchors, readers } = parts.federation.relationshipRoutes
  v1.register(bindingRoutes, { db, now, snapshots: parts.snapshots })
  v1.register(explainRoutes, { db, now, snapshots: parts.snapshots, anchors, readers })
  v1.register(lintRoutes, { db, now, snapshots: parts.snapshots, hasRegistered: hasRegisteredPath })
  mountResolve(v1, base, parts)
  const { alerting, federation } = parts
  mountAlerting(v1, base, { alerting, outbound: federation.outbound })
  mountRegistryAdmin(v1, base, parts.workloadUrl)
}

function accessOptions({ database, clock, log, metrics, config }: Base): AccessOptions {
  return {
    db: database.db,
    clock,
    log,
    onRefused: (reason) => metrics.loginsRefused.inc({ reason }),
    callsPerSecond: config.ADMIN_CALLS_PER_SECOND,
    onLimited: () => metrics.rateLimited.inc({ limit: 'token' }),
  }
}

function adminTls({ config }: Base): { tls?: { cert: Buffer; key: Buffer } } {
  const { ADMIN_TLS_CERT_FILE: cert, ADMIN_TLS_KEY_FILE: key } = config
  if (config.ADMIN_TLS === 'off' || cert === undefined || key === undefined) return {}
  return { tls: { cert: readFileSync(cert), key: readFileSync(key) } }
}

function mountFederation(base: Base, parts: Parts): App {
  const { endpoints, federation, exchange, invites } = parts
  const { log, metrics } = base
  const tls = { ...endpoints.federationTls.serverOptions('none'), ALPNProtocols: ['http/1.1'] }
  const first: AppOptions['first'] = (request, response) => endpoints.urls.answer(request, response)
  const app = createApp({ name: 'federation', log, metrics, tls, first })
  endpoints.federationTls.attach(app.server)
  mountBundleEndpoint(app, base, endpoints)
  mountRelay(app, base, { endpoints, federation })
  mountExchange(app, exchange)
  mountHandshake(app, invites)
  return app
}

function mountWorkload(base: Base, parts: Parts): App {
  const { endpoints, svids } = parts
  const { log, metrics } = base
  const tls = endpoints.workloadTls.serverOptions('asked')
  const app = createApp({ name: 'workload', log, metrics, tls, http2: true })
  endpoints.workloadTls.attach(app.server)
  mountSvids(app, svids)
  mountWorkloadResolve(app, base, parts)
  return app
}
