import { setTimeout as delay } from 'node:timers/promises'

/**
 * Where time comes from; the only double that tests use beside randomness.
 *
 * `now` is the time of day of this process; decisions that replicas must agree on take the database's time
 * instead (`db/time.ts`).
 */
export interface Clock {
  now(): Date
  /** Milliseconds that never go back, for measuring spans. */
  monotonicMs(): number
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal === undefined ? {} : { signal })
  },
}

/** Whole Unix seconds of a moment, rounded down. */
export function unixSeconds(moment: Date): number {
  return Math.floor(moment.getTime() / 1000)
}

/** The moment cut to whole seconds, as certificates and tokens hold it. */
export function wholeSeconds(moment: Date): Date {
  return new Date(unixSeconds(moment) * 1000)
}

/** The moment `seconds` later (earlier when negative). */
export function addSeconds(moment: Date, seconds: number): Date {
  return new Date(moment.getTime() + seconds * 1000)
}
