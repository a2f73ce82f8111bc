/** Tries of a delivery before it is given up. */
export const MAX_TRIES = 10

const FIRST_WAIT_SECONDS = 10
const FACTOR = 3

/** Share of a wait by which it is shortened at random at most, so that receivers that recover are not stormed. */
const JITTER = 0.2

/**
 * Seconds before a delivery that failed `tries` times is tried again: 10 s, then three times as long each time,
 * 18 h at last; ten tries take about a day. `random` is from 0 to 1.
 */
export function waitSeconds(tries: number, random: number): number {
  return FIRST_WAIT_SECONDS * FACTOR ** (tries - 1) * (1 - JITTER * random)
}
