import { Type } from 'typebox'
import type { Alarms } from './alarms.ts'
import type { App } from './listener.ts'
import type { Metrics } from './metrics.ts'

/** One thing that the service's readiness hangs on: a reason while it is not as it should be. */
export interface ReadinessCheck {
  readonly name: string
  /** `failing` = take this replica out of service; `degraded` = it serves, and somebody should look. */
  readonly severity: 'failing' | 'degraded'
  readonly reason: () => string | undefined
}

/** Whether this replica should get traffic, and why not. */
export class Readiness {
  readonly #checks: ReadinessCheck[] = []
  #phase: 'starting' | 'serving' | 'stopping' = 'starting'

  add(check: ReadinessCheck): void {
    this.#checks.push(check)
  }

  /** Everything is listening. */
  serving(): void {
    this.#phase = 'serving'
  }

  /** Answers not-ready from now on, before listeners close. */
  stopping(): void {
    this.#phase = 'stopping'
  }

  /** The state now, with every reason that is not met. */
  state(): { status: 'ok' | 'degraded' | 'failing'; reasons: string[] } {
    if (this.#phase !== 'serving')
      return { status: 'failing', reasons: [`the service is ${this.#phase}`] }
    const found = this.#checks.flatMap((check) => {
      const reason = check.reason()
      return reason === undefined
        ? []
        : [{ severity: check.severity, text: `${check.name}: ${reason}` }]
    })
    const failing = found.some((one) => one.severity === 'failing')
    const reasons = found.map((one) => one.text)
    if (failing) return { status: 'failing', reasons }
    return { status: reasons.length === 0 ? 'ok' : 'degraded', reasons }
  }
}

/** What the telemetry routes show. */
export interface TelemetryOptions {
  readonly metrics: Metrics
  readonly readiness: Readiness
  readonly alarms: Alarms
}

const ReadyAnswer = Type.Object({
  status: Type.Enum(['ok', 'degraded', 'failing']),
  reasons: Type.Array(Type.String()),
})

/**
 * `/livez` (200 while the process runs), `/readyz` (503 while starting, stopping or failing; 200 with reasons
 * while degraded) and `/metrics` for Prometheus.
 */
export const telemetryRoutes = async (app: App, options: TelemetryOptions): Promise<void> => {
  app.get('/livez', async () => ({ status: 'ok' }))
  app.get(
    '/readyz',
    { schema: { response: { 200: ReadyAnswer, 503: ReadyAnswer } } },
    async (_request, reply) => {
      const state = options.readiness.state()
      const alarms = options.alarms
        .list()
        .filter((alarm) => alarm.service)
        .map((alarm) => `${alarm.code} ${alarm.object}: ${alarm.message}`)
      const degraded = state.status === 'ok' && alarms.length > 0
      return reply
        .code(state.status === 'failing' ? 503 : 200)
        .header('cache-control', 'no-store')
        .send({
          status: degraded ? 'degraded' : state.status,
          reasons: [...state.reasons, ...alarms],
        })
    },
  )
  app.get('/metrics', async (_request, reply) => {
    const text = await options.metrics.registry.metrics()
    return reply.type(options.metrics.registry.contentType).send(text)
  })
}
