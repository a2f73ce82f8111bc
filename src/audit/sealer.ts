import type { Clock } from '../clock.ts'
import { inTransaction } from '../db/connect.ts'
import { type Lease, claimLease, holdsLease, releaseLease } from '../db/lease.ts'
import type { Db } from '../db/schema.ts'
import { type DbClock, databaseNow } from '../db/time.ts'
import { messageOf } from '../errors.ts'
import { type Ticker, startTicker } from '../ticker.ts'
import type { AuditKey } from './audit-key.ts'
import { GENESIS, chainHash, headText, signLink } from './chain.ts'
import {
  type AuditLink,
  findNewestLink,
  findOpenRecords,
  hasOpenRecords,
  insertLink,
  numberRecords,
} from './store.ts'

/** The part of a logger that the sealer needs. */
export interface SealerLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** What the sealer needs. */
export interface SealerOptions {
  /** The background handle. */
  readonly db: Db
  readonly key: AuditKey
  /** Id of this replica. */
  readonly owner: string
  readonly clock: Clock
  readonly log: SealerLog
  /** Default the database's clock. */
  readonly now?: DbClock
  /** Told of each new link: metrics and alarms hang here. */
  readonly onLink?: (link: AuditLink) => void
  /** Told when the stored log ends before a point that this process has seen. */
  readonly onTailLost?: (message: string) => void
}

const LEASE = 'audit-sealer'
const LEASE_SECONDS = 10
const EVERY_MS = 1000
/** Records sealed by one statement. */
const BATCH = 1000
/** The newest link is logged at most this often. */
const LOG_EVERY_MS = 60_000

/**
 * Numbers, chains and signs the audit log, a batch at most a second apart.
 *
 * One replica at a time does it, under a lease. Records commit in any order and without waiting for each other;
 * only the number given here orders them. A batch is one transaction: numbers, hashes and the signed link appear
 * together or not at all.
 */
export class Sealer {
  readonly #options: SealerOptions
  #ticker: Ticker | undefined
  #lease: Lease | undefined
  #newest: AuditLink | undefined
  #loggedAt = Number.NEGATIVE_INFINITY

  constructor(options: SealerOptions) {
    this.#options = options
  }

  /** Seals once a second from now on. */
  start(): void {
    const { clock, log } = this.#options
    const run = async (signal: AbortSignal) => this.seal(signal)
    this.#ticker = startTicker({ name: 'audit-sealer', everyMs: EVERY_MS, clock, log, run })
  }

  /** Stops, after sealing what is already committed, and lets another replica go on at once. */
  async stop(): Promise<void> {
    await this.#ticker?.stop()
    try {
      await this.seal()
      if (this.#lease !== undefined) await releaseLease(this.#options.db, this.#lease)
    } catch (error) {
      const reason = messageOf(error)
      this.#options.log.warn({ event: 'audit.unsealed', reason }, 'audit records left unsealed')
    }
    if (this.#newest !== undefined) this.#logNewest(this.#newest)
  }

  /** The newest link that this process has seen. */
  get newest(): AuditLink | undefined {
    return this.#newest
  }

  /** Seals whatever is committed and open now, unless another replica is doing it. */
  async seal(signal?: AbortSignal): Promise<void> {
    const { db, owner } = this.#options
    if (!(await hasOpenRecords(db))) return
    const now = this.#options.now ?? databaseNow
    this.#lease = await claimLease(db, LEASE, { owner, seconds: LEASE_SECONDS, now })
    const lease = this.#lease
    if (lease === undefined) return
    for (let more = true; more;) {
      if (signal?.aborted === true) return
      more = await this.#sealOnce(lease)
    }
  }

  async #sealOnce(lease: Lease): Promise<boolean> {
    const batch = await inTransaction(this.#options.db, (trx) => this.#sealBatch(trx, lease))
    if (batch.tailLost !== undefined) this.#tailLost(batch.tailLost)
    if (batch.link !== undefined) this.#sealed(batch.link)
    return batch.more
  }

  /** One batch, on the row lock of the lease: two sealers cannot be here at once. */
  async #sealBatch(trx: Db, lease: Lease): Promise<Batch> {
    if (!(await holdsLease(trx, lease))) return { more: false }
    const open = await findOpenRecords(trx, BATCH)
    if (open.length === 0) return { more: false }
    const last = await findNewestLink(trx)
    const chained = chain(last, open)
    const at = await (this.#options.now ?? databaseNow)(trx)
    const point = { ...chained.head, at }
    const link = { ...point, signature: signLink(point, this.#options.key.privateKey) }
    const changed = await numberRecords(trx, chained.numbered)
    if (changed !== open.length) {
      throw new Error(`${open.length} audit records were open and ${changed} could be numbered`)
    }
    await insertLink(trx, link)
    return { more: open.length === BATCH, link, tailLost: this.#lostSince(last) }
  }

  /** The log must begin where this process saw it end; otherwise somebody cut it or brought back an older copy. */
  #lostSince(last: AuditLink | undefined): string | undefined {
    const seen = this.#newest
    if (seen === undefined || (last !== undefined && last.upto_n >= seen.upto_n)) return undefined
    return `the audit log ended at ${last?.upto_n ?? 0n} and had reached ${headText({ n: seen.upto_n, hash: seen.hash })}`
  }

  #sealed(link: AuditLink): void {
    this.#newest = link
    this.#options.onLink?.(link)
    if (this.#options.clock.monotonicMs() - this.#loggedAt >= LOG_EVERY_MS) this.#logNewest(link)
  }

  #logNewest(link: AuditLink): void {
    this.#loggedAt = this.#options.clock.monotonicMs()
    this.#options.log.info(
      {
        event: 'audit.link',
        n: link.upto_n,
        hash: Buffer.from(link.hash).toString('hex'),
        signature: Buffer.from(link.signature).toString('base64url'),
      },
      'audit log sealed',
    )
  }

  #tailLost(message: string): void {
    this.#options.log.error({ event: 'audit.tail-lost', reason: message }, 'audit log was cut off')
    this.#options.onTailLost?.(message)
  }
}

interface Batch {
  readonly more: boolean
  readonly link?: AuditLink
  readonly tailLost?: string | undefined
}

/** Numbers and hashes for open records, on from the last link. */
function chain(
  last: AuditLink | undefined,
  open: readonly { readonly id: bigint; readonly body: Uint8Array }[],
): {
  readonly numbered: { id: bigint; n: bigint; hash: Uint8Array }[]
  readonly head: { readonly upto_n: bigint; readonly hash: Uint8Array }
} {
  let n = last?.upto_n ?? 0n
  let hash = last?.hash ?? GENESIS
  const numbered = open.map(({ id, body }) => {
    n += 1n
    hash = chainHash(hash, body)
    return { id, n, hash }
  })
  return { numbered, head: { upto_n: n, hash } }
}
