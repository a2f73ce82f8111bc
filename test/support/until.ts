import { setTimeout as delay } from 'node:timers/promises'

const EVERY_MS = 20
const WITHIN_MS = 30_000

/** Asks again every 20 ms until the answer is the one that is waited for, at most 30 s; answers with the last one. */
export async function until<T>(ask: () => Promise<T>, isDone: (answer: T) => boolean): Promise<T> {
  const deadline = performance.now() + WITHIN_MS
  for (;;) {
    const answer = await ask()
    if (isDone(answer) || performance.now() > deadline) return answer
    await delay(EVERY_MS)
  }
}

/** Waits until something holds; a failure to tell counts as not yet. Throws when it does not within 30 s. */
export async function untilTrue(holds: () => Promise<boolean> | boolean): Promise<true> {
  const deadline = performance.now() + WITHIN_MS
  for (;;) {
    const seen = await attempt(holds)
    if (seen === true) return true
    if (performance.now() > deadline) {
      throw new Error(
        'did not come true within 30 s',
        seen === false ? {} : { cause: seen.failure },
      )
    }
    await delay(EVERY_MS)
  }
}

async function attempt(
  holds: () => Promise<boolean> | boolean,
): Promise<boolean | { readonly failure: unknown }> {
  try {
    return await holds()
  } catch (failure) {
    return { failure }
  }
}
