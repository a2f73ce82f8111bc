import type { Clock } from '../clock.ts'
import { inTransaction } from '../db/connect.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { DbClock } from '../db/time.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { RecentSources } from './recent-sources.ts'
import { addAccesses, findReaderById } from './reader-store.ts'

/** What {@link ReaderCounts} needs. */
export interface ReaderCountsOptions {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  readonly clock: Clock
}

/** One complete fetch by a reader. */
export interface Access {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly id: string
  readonly sequence: bigint
  /** By which host it came, if that is a plain name. */
  readonly host?: string | undefined
  /** The address that it came from. */
  readonly source?: string | undefined
}

interface Pending extends Access {
  count: number
  sequence: bigint
  host?: string | undefined
  lastMs: number
  readonly sources: RecentSources
}

const LOOKUP_TIMEOUT_MS = 500
const MOST_REMEMBERED = 200_000

/**
 * Who fetched which sequence of our bundle when: counted in memory, written down by {@link ReaderCounts.flush}
 * at most once a second, so that a fetch costs no query.
 */
export class ReaderCounts {
  readonly #options: ReaderCountsOptions
  readonly #known = new Map<string, { readonly meshId: MeshId; readonly exists: boolean }>()
  #pending = new Map<string, Pending>()

  constructor(options: ReaderCountsOptions) {
    this.#options = options
  }

  /**
   * Whether the reader of a genuine reference still exists; asked once per reader and change of its mesh. While
   * the database is away it counts as existing: the bundle is public, and peers must go on.
   */
  async exists(meshId: MeshId, trustDomain: TrustDomain, id: string): Promise<boolean> {
    const key = `${trustDomain} ${id}`
    const known = this.#known.get(key)
    if (known !== undefined) return known.exists
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => resolve(undefined), LOOKUP_TIMEOUT_MS)
    try {
      const reader = findReaderById(this.#options.db, meshId, { trustDomain, id })
      const found = await Promise.race([reader.then((one) => one !== undefined), promise])
      if (found === undefined) return true
      if (this.#known.size >= MOST_REMEMBERED) this.#known.clear()
      this.#known.set(key, { meshId, exists: found })
      return found
    } catch {
      return true
    } finally {
      clearTimeout(timer)
    }
  }

  /** Whether the reader is known to exist without asking the database. */
  isKnown(trustDomain: TrustDomain, id: string): boolean {
    return this.#known.get(`${trustDomain} ${id}`)?.exists === true
  }

  /** Forgets which readers of a mesh exist; called when its bundles or readers changed. */
  forget(meshId: MeshId): void {
    for (const [key, known] of this.#known) if (known.meshId === meshId) this.#known.delete(key)
  }

  /** Counts a fetch: a complete 200, or a 304 to that sequence's entity tag. */
  count(access: Access): void {
    const key = `${access.trustDomain} ${access.id}`
    const lastMs = this.#options.clock.monotonicMs()
    const pending = this.#pending.get(key)
    if (pending === undefined) {
      const sources = new RecentSources()
      sources.note(access.source, lastMs)
      this.#pending.set(key, { ...access, count: 1, lastMs, sources })
      return
    }
    pending.count += 1
    pending.lastMs = lastMs
    pending.host = access.host ?? pending.host
    pending.sources.note(access.source, lastMs)
    if (access.sequence > pending.sequence) pending.sequence = access.sequence
  }

  /** Writes down what was counted; what cannot be written is kept for the next time. */
  async flush(): Promise<void> {
    if (this.#pending.size === 0) return
    const batch = this.#pending
    this.#pending = new Map()
    try {
      await this.#write(batch)
    } catch (error) {
      this.#putBack(batch)
      throw error
    }
  }

  async #write(batch: ReadonlyMap<string, Pending>): Promise<void> {
    const { db, now, clock } = this.#options
    await inTransaction(db, async (trx) => {
      const moment = (await now(trx)).getTime()
      const at = clock.monotonicMs()
      const ordered = [...batch].toSorted(([one], [other]) => (one < other ? -1 : 1))
      await addAccesses(
        trx,
        ordered.map(([, pending]) => ({
          ...pending,
          lastAt: new Date(moment - Math.round(at - pending.lastMs)),
          sources: pending.sources.entries().map(([address, atMs]) => ({
            address,
            lastAt: new Date(moment - Math.round(at - atMs)),
          })),
        })),
      )
    })
  }

  #putBack(batch: ReadonlyMap<string, Pending>): void {
    for (const [key, old] of batch) {
      const newer = this.#pending.get(key)
      if (newer === undefined) {
        this.#pending.set(key, old)
        continue
      }
      newer.count += old.count
      newer.sources.addOlder(old.sources)
      if (old.sequence > newer.sequence) newer.sequence = old.sequence
    }
  }
}
