import { addSeconds, type Clock } from '../../clock.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { messageOf } from '../../errors.ts'
import { type Logger } from '../../http/log.ts'
import { startTicker, type Ticker } from '../../ticker.ts'
import { type WorkClaim } from './peer-exchange-store.ts'

/** Tasks in flight at once: with peers that answered last time, and with all others. */
const POOL_SIZES = { healthy: 32, other: 16 } as const

type Pool = keyof typeof POOL_SIZES

/** How long a claim holds; three times the longest call. */
const LEASE_SECONDS = 30

/** One kind of work that replicas share. */
export interface ClaimedWorkOptions<T> {
  readonly name: string
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  readonly clock: Clock
  readonly log: Pick<Logger, 'error'>
  /** This replica's name; it owns the leases. */
  readonly owner: string
  /** Done before each look for work; for what must be written down first. */
  readonly prepare?: (now: Date) => Promise<void>
  readonly claim: (db: Db, claim: WorkClaim) => Promise<T[]>
  readonly run: (task: T, signal: AbortSignal) => Promise<void>
  readonly release: (db: Db, owner: string) => Promise<void>
  /** Milliseconds between looks; default 1000. */
  readonly everyMs?: number
}

/**
 * Claims due rows under leases and works on them in two bounded pools, so that peers that hang hold up neither each
 * other's turn for long nor the ones that answer, and any number of replicas do each task once.
 */
export class ClaimedWork<T> {
  readonly #options: ClaimedWorkOptions<T>
  readonly #inFlight: Readonly<Record<Pool, Set<Promise<void>>>> = {
    healthy: new Set(),
    other: new Set(),
  }
  readonly #stopping = new AbortController()
  #ticker: Ticker | undefined

  constructor(options: ClaimedWorkOptions<T>) {
    this.#options = options
  }

  /** Begins to look for due work. */
  start(): void {
    const { name, clock, log, everyMs = 1000 } = this.#options
    this.#ticker = startTicker({ name, everyMs, clock, log, run: () => this.look() })
  }

  /** Looks for due work as soon as possible. */
  kick(): void {
    this.#ticker?.kick()
  }

  /** Claims what is due and begins it; resolves before it has ended. */
  async look(): Promise<void> {
    const { db, now, prepare } = this.#options
    const at = await now(db)
    await prepare?.(at)
    await this.#lookIn('healthy', at)
    await this.#lookIn('other', at)
  }

  /** Resolves when nothing is in flight. */
  async idle(): Promise<void> {
    const { healthy, other } = this.#inFlight
    while (healthy.size + other.size > 0) await Promise.all([...healthy, ...other])
  }

  /** Claims no more, aborts what is in flight and gives its leases back. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the service is stopping'))
    await this.#ticker?.stop()
    await this.idle()
    await this.#options.release(this.#options.db, this.#options.owner)
  }

  async #lookIn(pool: Pool, at: Date): Promise<void> {
    const { db, owner, claim } = this.#options
    const limit = POOL_SIZES[pool] - this.#inFlight[pool].size
    if (limit <= 0 || this.#stopping.signal.aborted) return
    const leaseUntil = addSeconds(at, LEASE_SECONDS)
    for (const task of await claim(db, { owner, now: at, leaseUntil, limit, pool })) {
      this.#begin(pool, task)
    }
  }

  #begin(pool: Pool, task: T): void {
    const inFlight = this.#inFlight[pool]
    const wasFull = inFlight.size + 1 >= POOL_SIZES[pool]
    const work = this.#work(task).finally(() => {
      inFlight.delete(work)
      if (wasFull) this.kick()
    })
    inFlight.add(work)
  }

  async #work(task: T): Promise<void> {
    const { run, log, name } = this.#options
    try {
      await run(task, this.#stopping.signal)
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      log.error(
        { event: 'peer-work.lost', ticker: name, error: messageOf(error) },
        'the outcome of a call to a peer could not be stored; it is tried again when its lease ends',
      )
    }
  }
}
