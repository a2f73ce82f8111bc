import { randomInt } from 'node:crypto'
import type { Clock } from './clock.ts'
import { messageOf } from './errors.ts'

/** The part of a logger that a ticker needs. */
export interface TickerLog {
  error(fields: object, message: string): void
}

/** How a job repeats. */
export interface TickerOptions {
  readonly name: string
  readonly everyMs: number
  /** Share of `everyMs` by which a wait may be shortened at random, 0 to 1; default 0.1. */
  readonly jitter?: number
  readonly clock: Clock
  readonly log: TickerLog
  readonly run: (signal: AbortSignal) => Promise<void>
}

/** A running ticker. */
export interface Ticker {
  /** Runs the job as soon as it is not already running. */
  kick(): void
  /** Aborts the wait and the job's signal, and resolves when the job has ended. */
  stop(): Promise<void>
}

/**
 * Runs a job now and then again every `everyMs`, never twice at once.
 *
 * A job that throws is logged (`ticker failed`) and runs again at its next turn.
 */
export function startTicker(options: TickerOptions): Ticker {
  const stopping = new AbortController()
  let waiting = new AbortController()
  let kicked = false
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      kicked = false
      await runOnce(options, stopping.signal)
      if (kicked || stopping.signal.aborted) continue
      waiting = new AbortController()
      await waitTurn(options, AbortSignal.any([stopping.signal, waiting.signal]))
    }
  }
  const done = loop()
  return {
    kick: () => {
      kicked = true
      waiting.abort()
    },
    stop: async () => {
      stopping.abort()
      await done
    },
  }
}

async function runOnce(options: TickerOptions, signal: AbortSignal): Promise<void> {
  try {
    await options.run(signal)
  } catch (error) {
    if (signal.aborted) return
    options.log.error(
      { event: 'ticker.failed', ticker: options.name, error: messageOf(error) },
      'ticker failed',
    )
  }
}

async function waitTurn(options: TickerOptions, signal: AbortSignal): Promise<void> {
  const spread = Math.floor(options.everyMs * (options.jitter ?? 0.1))
  const ms = options.everyMs - (spread > 0 ? randomInt(spread + 1) : 0)
  try {
    await options.clock.sleep(ms, signal)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
