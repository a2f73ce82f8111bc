/** Seconds between polls of a peer that gives no hint (Trust Domain and Bundle §4.1.2, FE-34, BU-14). */
export const DEFAULT_HINT_SECONDS = 300

/** Longest wait that a peer's hint can ask for. */
export const MAX_INTERVAL_SECONDS = 24 * 3600

/** A peer that changes more often within an hour is alarmed and polled slowest. */
export const MAX_CHANGES_PER_HOUR = 20

/** Share of an interval by which a wait is shortened at random at most, so that the hint stays an upper bound. */
export const MAX_JITTER = 0.1

const HOUR_SECONDS = 3600

/** The bounds within which a peer's hint counts. */
export interface HintLimits {
  /** `ENTENTE_POLL_MIN_SECONDS`. */
  readonly pollMinSeconds: number
  readonly hintMinSeconds: number | undefined
  readonly hintMaxSeconds: number | undefined
}

/** What the next wait depends on. */
export interface PollRhythm extends HintLimits {
  /** The hint of the bundle in use; absent when it has none or there is no bundle. */
  readonly hintSeconds: number | undefined
  /** Polls that failed since the last success. */
  readonly failures: number
  /** Changes of the peer's bundle within the last hour. */
  readonly changesLastHour: number
}

/**
 * Seconds between polls of a peer: its hint within our limits, five minutes without one (FE-34, BU-14).
 *
 * A failed poll waits for the next interval like any other (FE-35). Only after an hour of nothing but failures
 * does the interval double, after three hours it is fourfold, never longer than the longer of one hour and the
 * hint. A peer whose bundle changes all the time gets that longest interval at once.
 */
export function pollIntervalSeconds(rhythm: PollRhythm): number {
  const interval = hintWithin(rhythm)
  const longest = Math.max(HOUR_SECONDS, interval)
  if (rhythm.changesLastHour > MAX_CHANGES_PER_HOUR) return longest
  return Math.min(interval * patience(rhythm.failures * interval), longest)
}

/** The wait itself in milliseconds: the interval minus a random 0 to 10 %; `random` is from 0 to 1. */
export function waitMs(intervalSeconds: number, random: number): number {
  return Math.ceil(intervalSeconds * 1000 * (1 - MAX_JITTER * random))
}

function hintWithin({ hintSeconds, pollMinSeconds, hintMinSeconds, hintMaxSeconds }: PollRhythm) {
  const highest = Math.min(MAX_INTERVAL_SECONDS, hintMaxSeconds ?? MAX_INTERVAL_SECONDS)
  const lowest = Math.max(pollMinSeconds, hintMinSeconds ?? 0)
  return Math.max(lowest, Math.min(hintSeconds ?? DEFAULT_HINT_SECONDS, highest))
}

function patience(failingSeconds: number): number {
  if (failingSeconds < HOUR_SECONDS) return 1
  return failingSeconds < 3 * HOUR_SECONDS ? 2 : 4
}
