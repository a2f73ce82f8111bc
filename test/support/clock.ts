import type { Clock } from '../../src/clock.ts'
import type { DbClock } from '../../src/db/time.ts'

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** A clock that stands still until told; its sleepers wake in order as it advances. */
export interface TestClock extends Clock {
  advance(ms: number): Promise<void>
  set(moment: Date): void
  /** The same time as a database clock. */
  readonly db: DbClock
}

export function testClock(start = new Date('2027-01-15T08:00:00Z')): TestClock {
  let ms = start.getTime()
  const origin = ms
  let sleepers: Sleeper[] = []
  const wakeDue = (): void => {
    const due = sleepers.filter((sleeper) => sleeper.at <= ms)
    sleepers = sleepers.filter((sleeper) => sleeper.at > ms)
    for (const sleeper of due) sleeper.wake()
  }
  return {
    now: () => new Date(ms),
    monotonicMs: () => ms - origin,
    sleep: (span, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason as Error)
        const sleeper = { at: ms + span, wake: resolve }
        sleepers.push(sleeper)
        signal?.addEventListener(
          'abort',
          () => {
            sleepers = sleepers.filter((other) => other !== sleeper)
            reject(signal.reason as Error)
          },
          { once: true },
        )
      }),
    advance: async (span) => {
      ms += span
      wakeDue()
      await new Promise((resolve) => setImmediate(resolve))
    },
    set: (moment) => {
      ms = moment.getTime()
      wakeDue()
    },
    db: async () => new Date(ms),
  }
}
