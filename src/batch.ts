import { isServiceError, ServiceError } from './errors.ts'

/** How a {@link Batch} works. */
export interface BatchOptions<In, Out> {
  readonly name: string
  /**
   * Does the work for all items at once, in order, or nothing of it. When it throws, each item is tried alone, so
   * that only the one at fault fails; not when the database is away or the outcome unknown.
   */
  readonly run: (items: readonly In[]) => Promise<readonly Out[]>
  /** Most items of one run. */
  readonly most: number
  /** Most items that may wait; more are refused, because they would wait for nothing. */
  readonly mostWaiting: number
  /** Milliseconds for which the first item waits for others; default 0: only what arrives in the same turn goes together. */
  readonly gatherMs?: number
}

interface Waiting<In, Out> {
  readonly item: In
  readonly resolve: (out: Out) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Brings together what waits at the same moment: while one run is under way the next one collects.
 *
 * Unless it is told to gather, nothing is delayed for the sake of a larger batch: a lone item runs at once.
 */
export class Batch<In, Out> {
  readonly #options: BatchOptions<In, Out>
  #waiting: Waiting<In, Out>[] = []
  #running = false

  constructor(options: BatchOptions<In, Out>) {
    this.#options = options
  }

  /** Resolves with this item's result once its run has ended. */
  add(item: In): Promise<Out> {
    if (this.#waiting.length >= this.#options.mostWaiting) throw this.#full()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      if (this.#running) return
      this.#running = true
      const { gatherMs = 0 } = this.#options
      if (gatherMs > 0) setTimeout(() => void this.#drain(), gatherMs)
      // Requests that are read in the same turn of the event loop go together.
      else setImmediate(() => void this.#drain())
    })
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#runOne(this.#waiting.splice(0, this.#options.most))
    }
    this.#running = false
  }

  async #runOne(batch: readonly Waiting<In, Out>[]): Promise<void> {
    try {
      const results = await this.#options.run(batch.map(({ item }) => item))
      for (const [index, { resolve, reject }] of batch.entries()) {
        if (index < results.length) resolve(results[index] as Out)
        else reject(new Error(`${this.#options.name} gave no result for an item`))
      }
    } catch (error) {
      if (batch.length === 1 || isWithoutResult(error))
        for (const { reject } of batch) reject(error)
      // One item that cannot be stored must not take the others with it.
      else for (const one of batch) await this.#runOne([one])
    }
  }

  #full(): ServiceError {
    const { name, mostWaiting } = this.#options
    const message = `${mostWaiting} requests wait for ${name} already`
    return new ServiceError('RATE_LIMITED', message, { retryAfterSeconds: 1 })
  }
}

function isWithoutResult(error: unknown): boolean {
  return isServiceError(error, 'DATABASE_UNAVAILABLE') || isServiceError(error, 'OUTCOME_UNKNOWN')
}
