import { readFileSync } from 'node:fs'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { Base } from './compose-base.ts'
import type { Parts } from './compose-parts.ts'
import { telemetryRoutes } from './http/health.ts'
import { type App, type ListenerName, createApp } from './http/listener.ts'
import { openApiOptions } from './http/openapi.ts'

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

async function mountAdmin(base: Base, _parts: Parts): Promise<App> {
  const { log, metrics } = base
  const app = createApp({ name: 'admin', log, metrics, maxConnections: 1024, ...adminTls(base) })
  await app.register(swagger, openApiOptions())
  await app.register(swaggerUi, { routePrefix: '/docs' })
  return app
}

function adminTls({ config }: Base): { tls?: { cert: Buffer; key: Buffer } } {
  const { ADMIN_TLS_CERT_FILE: cert, ADMIN_TLS_KEY_FILE: key } = config
  if (config.ADMIN_TLS === 'off' || cert === undefined || key === undefined) return {}
  return { tls: { cert: readFileSync(cert), key: readFileSync(key) } }
}

function mountFederation(base: Base, _parts: Parts): App {
  const { log, metrics } = base
  return createApp({ name: 'federation', log, metrics })
}

function mountWorkload(base: Base, _parts: Parts): App {
  const { log, metrics } = base
  return createApp({ name: 'workload', log, metrics })
}
