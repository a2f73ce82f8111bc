import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'

/** A condition that an operator must know of. */
export interface Alarm {
  /** Stable dotted name, e.g. `web-certificate.ending`. */
  readonly code: string
  /** What it is about: a trust domain, a file, a relationship. */
  readonly object: string
  readonly message: string
  /** Whether the whole service is degraded by it: then it is a reason in `/readyz`. */
  readonly service: boolean
  /** More urgent, or less, than its code is by itself. */
  readonly severity?: 'info' | 'warning' | 'critical' | undefined
}

/**
 * Alarms that are raised now: each is a log event when it begins and ends, a metric, and a reason in `/readyz`
 * where the whole service is concerned.
 */
export class Alarms {
  readonly #raised = new Map<string, Alarm>()
  readonly #log: Logger
  readonly #metrics: Metrics

  constructor(options: { readonly log: Logger; readonly metrics: Metrics }) {
    this.#log = options.log
    this.#metrics = options.metrics
  }

  /** Raises an alarm; raised again with the same message it stays silent. */
  raise(
    code: string,
    object: string,
    about: Pick<Alarm, 'message' | 'severity'> & { readonly service?: boolean },
  ): void {
    const key = `${code} ${object}`
    const known = this.#raised.get(key)
    const { message, severity, service = false } = about
    this.#raised.set(key, { code, object, message, service, severity })
    this.#count(code)
    if (known?.message === about.message) return
    this.#log.warn(
      { event: 'alarm.raised', alarm: code, object, reason: about.message },
      'alarm raised',
    )
  }

  /** Ends an alarm, if it is raised. */
  clear(code: string, object: string): void {
    if (!this.#raised.delete(`${code} ${object}`)) return
    this.#count(code)
    this.#log.info({ event: 'alarm.cleared', alarm: code, object }, 'alarm cleared')
  }

  /** What is raised now. */
  list(): readonly Alarm[] {
    return [...this.#raised.values()]
  }

  #count(code: string): void {
    const raised = [...this.#raised.values()].filter((alarm) => alarm.code === code)
    this.#metrics.alarms.set({ alarm: code }, raised.length)
  }
}
