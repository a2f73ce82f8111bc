import type { Clock } from '../clock.ts'

/** What the throttle remembers of one source of failed logins. */
interface Failures {
  count: number
  since: number
}

const WINDOW_MS = 60_000
/** Failures in a window after which a source must wait for the window's end. */
const MAX_FAILURES = 20
/** Sources remembered; beyond it the oldest are forgotten, so that many addresses cannot fill the memory. */
const MAX_SOURCES = 10_000

/**
 * Slows down who keeps failing to log in, per source address, in the memory of this process.
 *
 * Tokens cannot be guessed; what this spares is the database and the log.
 */
export class Throttle {
  readonly #sources = new Map<string, Failures>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Seconds that this source must wait now; 0 when it need not. */
  waitSeconds(source: string): number {
    const found = this.#current(source)
    if (found === undefined || found.count < MAX_FAILURES) return 0
    return Math.max(1, Math.ceil((found.since + WINDOW_MS - this.#clock.monotonicMs()) / 1000))
  }

  /** Counts a failed login; answers whether it is the one that closes the door. */
  failed(source: string): boolean {
    const known = this.#current(source)
    const failures = known ?? { count: 0, since: this.#clock.monotonicMs() }
    failures.count += 1
    if (known === undefined) this.#remember(source, failures)
    return failures.count === MAX_FAILURES
  }

  /** Sources remembered now. */
  get size(): number {
    return this.#sources.size
  }

  #current(source: string): Failures | undefined {
    const found = this.#sources.get(source)
    if (found === undefined) return undefined
    if (this.#clock.monotonicMs() - found.since < WINDOW_MS) return found
    this.#sources.delete(source)
    return undefined
  }

  #remember(source: string, failures: Failures): void {
    const oldest = this.#sources.keys().next()
    if (this.#sources.size >= MAX_SOURCES && oldest.done !== true) {
      this.#sources.delete(oldest.value)
    }
    this.#sources.set(source, failures)
  }
}
