import { setTimeout as delay } from 'node:timers/promises'

/** What {@link until} waits for. */
export interface Waiting {
  readonly what: string
  readonly seconds: number
  readonly everyMs?: number
}

/** Asks again and again until something other than undefined comes; throws when it takes too long. */
export async function until<T>(
  { what, seconds, everyMs = 200 }: Waiting,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + seconds * 1000
  for (;;) {
    const found = await ask()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`${what} did not happen within ${seconds} s`)
    await delay(everyMs)
  }
}
