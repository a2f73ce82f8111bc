import { addSeconds, type Clock } from '../../clock.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { messageOf } from '../../errors.ts'
import { type Logger } from '../../http/log.ts'
import { startTicker, type Ticker } from '../../ticker.ts'
import {
  claimDue,
  type ClaimedPoll,
  type PollLimits,
  type PollPool,
  type PollTask,
} from './claim-store.ts'
import { releasePolls } from './poll-store.ts'

/** Polls in flight at once: peers whose last poll succeeded, and all others. */
const POOL_SIZES: Readonly<Record<PollPool, number>> = { healthy: 512, other: 64 }

/** How long a claim holds; three times the longest poll. */
export const LEASE_SECONDS = 30

/** Most polls claimed by one statement. */
const CLAIM_BATCH = 128

/**
 * Share of the wait between looks that is left to chance. Whoever looks first takes what is due, so replicas share evenly
 * only if none of them always looks just after another.
 */
const LOOK_JITTER = 0.6

/** What the scheduler needs. */
export interface SchedulerOptions {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  readonly clock: Clock
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** This replica's name; it owns the leases. */
  readonly owner: string
  readonly refresh: (task: PollTask, signal: AbortSignal) => Promise<unknown>
  readonly poolSizes?: Readonly<Record<PollPool, number>>
  /** Most milliseconds between looks for due polls; default 1000. */
  readonly everyMs?: number
}

/**
 * Polls every peer when it is due, in two pools so that dead peers do not hold up live ones.
 *
 * Due rows are claimed with a lease, so that any number of replicas share them and each peer is polled once; what
 * a killed replica had in flight is claimed by another when the lease ends.
 */
export class FederationScheduler {
  readonly #options: SchedulerOptions
  readonly #inFlight: Readonly<Record<PollPool, Set<Promise<void>>>> = {
    healthy: new Set(),
    other: new Set(),
  }
  readonly #stopping = new AbortController()
  #ticker: Ticker | undefined

  constructor(options: SchedulerOptions) {
    this.#options = options
  }

  /** Begins to look for due polls. */
  start(): void {
    this.#ticker = startTicker({
      name: 'federation',
      everyMs: this.#options.everyMs ?? 1000,
      jitter: LOOK_JITTER,
      clock: this.#options.clock,
      log: this.#options.log,
      run: () => this.claim(),
    })
  }

  /** Looks for due polls as soon as possible, for instance after a relationship was made. */
  kick(): void {
    this.#ticker?.kick()
  }

  /** Claims what is due, of both pools in one statement, and begins to poll it; resolves before the polls have ended. */
  async claim(): Promise<void> {
    const { db, now, owner } = this.#options
    for (;;) {
      const limits = { healthy: this.#room('healthy'), other: this.#room('other') }
      if (limits.healthy + limits.other === 0 || this.#stopping.signal.aborted) return
      const at = await now(db)
      const leaseUntil = addSeconds(at, LEASE_SECONDS)
      const claimed = await claimDue(db, { owner, now: at, leaseUntil, limits })
      for (const { pool, task } of claimed) this.#begin(pool, task)
      if (!isFilled(limits, claimed)) return
    }
  }

  /** Resolves when no poll is in flight. */
  async idle(): Promise<void> {
    const { healthy, other } = this.#inFlight
    while (healthy.size + other.size > 0) await Promise.all([...healthy, ...other])
  }

  /** Claims no more, aborts what is in flight and gives its leases back. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the service is stopping'))
    await this.#ticker?.stop()
    await this.idle()
    await releasePolls(this.#options.db, this.#options.owner)
  }

  #room(pool: PollPool): number {
    const { poolSizes = POOL_SIZES } = this.#options
    return Math.min(CLAIM_BATCH, poolSizes[pool] - this.#inFlight[pool].size)
  }

  #begin(pool: PollPool, task: PollTask): void {
    const inFlight = this.#inFlight[pool]
    const wasFull = inFlight.size + 1 >= (this.#options.poolSizes ?? POOL_SIZES)[pool]
    const poll = this.#poll(task).finally(() => {
      inFlight.delete(poll)
      // Others may be due behind a full pool: look again rather than wait for the next turn.
      if (wasFull) this.kick()
    })
    inFlight.add(poll)
  }

  async #poll(task: PollTask): Promise<void> {
    try {
      await this.#options.refresh(task, this.#stopping.signal)
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      this.#options.log.error(
        {
          event: 'federation.poll-lost',
          meshId: task.meshId,
          relationship: task.relationship,
          trustDomain: task.trustDomain,
          error: messageOf(error),
        },
        'the outcome of a poll could not be stored; it is polled again when its lease ends',
      )
    }
  }
}

/** Whether one of the pools gave all that was asked for, so that more may be due. */
function isFilled(limits: PollLimits, claimed: readonly ClaimedPoll[]): boolean {
  return (['healthy', 'other'] as const).some((pool) => {
    const count = claimed.filter((one) => one.pool === pool).length
    return count > 0 && count === limits[pool]
  })
}
