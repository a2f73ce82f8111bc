import { representationsOf, type ServedBundle } from '../../bundle/representation.ts'
import { type Clock } from '../../clock.ts'
import { type Changes } from '../../db/changes.ts'
import { inTransaction } from '../../db/connect.ts'
import { isDatabaseAway } from '../../db/failures.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { messageOf, ServiceError } from '../../errors.ts'
import { type Logger } from '../../http/log.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { relayNow } from './relay.ts'
import { type RelayAccesses, addRelayAccesses, type RelayedBundle } from './relay-store.ts'

/** What {@link RelayBundles} needs. */
export interface RelayBundlesOptions {
  /** The background handle: working out must not queue behind requests. */
  readonly db: Db
  readonly now: DbClock
  readonly clock: Clock
  readonly log: Pick<Logger, 'warn'>
  readonly changes: Pick<Changes, 'on' | 'silentMs'>
  /** How long memory is served while the database is away, in seconds; then 503. */
  readonly staleSeconds: number
}

/** A relay: whose it is, and at which address of ours. */
export interface RelayKey {
  readonly meshId: MeshId
  readonly ownTrustDomain: TrustDomain
  readonly relayId: string
}

interface Entry {
  readonly meshId: MeshId
  readonly served: ServedBundle | undefined
  isStale: boolean
}

interface Pending {
  readonly meshId: MeshId
  count: number
  sequence: bigint
  lastMs: number
}

// As for our own bundles: the counters are compared once a second; a quarter of a second is their turn.
const RE_READ_AFTER_MS = 1250
const HEARD_TIMEOUT_MS = 5000
const SILENT_TIMEOUT_MS = 500
const RETRY_MS = 1000
const MOST_REMEMBERED = 200_000

/**
 * The peers' bundles that this replica relays, in memory until something of their mesh changes.
 *
 * The first request after a change works the relay out in a transaction that stores it if it differs, so replicas
 * hand out the same bytes. While the database is away memory is served for `staleSeconds`, then
 * DATABASE_UNAVAILABLE (FE-11).
 */
export class RelayBundles {
  readonly #options: RelayBundlesOptions
  readonly #entries = new Map<string, Entry>()
  readonly #loading = new Map<string, Promise<boolean>>()
  #pending = new Map<string, Pending>()
  #changes = 0
  #awayUntil = 0

  constructor(options: RelayBundlesOptions) {
    this.#options = options
    const { changes } = options
    changes.on('relationship', (meshId) => this.invalidate(meshId))
    changes.on('distrust', (meshId) => this.invalidate(meshId))
    changes.on('mesh', (meshId) => this.invalidate(meshId))
    // A peer may be another mesh of this service, whose bundle its relationship reads.
    changes.on('bundle', () => this.#invalidateWhere(() => true))
  }

  /** Works out the relays of a mesh again before the next answer. */
  invalidate(meshId: MeshId): void {
    this.#invalidateWhere((entry) => entry.meshId === meshId)
  }

  /** What to answer now; undefined when there is nothing at this address. Throws DATABASE_UNAVAILABLE. */
  async fresh(key: RelayKey): Promise<ServedBundle | undefined> {
    const { changes, clock } = this.#options
    const isHeard = changes.silentMs <= RE_READ_AFTER_MS
    const known = this.#entries.get(key.relayId)
    if (known !== undefined && !known.isStale && isHeard) return known.served
    const mayAsk = clock.monotonicMs() >= this.#awayUntil
    if (mayAsk && (await this.#load(key))) return this.#entries.get(key.relayId)?.served
    return this.#lastKnown(key)
  }

  #lastKnown({ relayId }: RelayKey): ServedBundle | undefined {
    const { changes, staleSeconds } = this.#options
    const known = this.#entries.get(relayId)
    if (known !== undefined && changes.silentMs <= staleSeconds * 1000) return known.served
    throw new ServiceError(
      'DATABASE_UNAVAILABLE',
      "the database does not answer; the peer's bundle as it is accepted now cannot be told",
      { retryAfterSeconds: 5 },
    )
  }

  #load(key: RelayKey): Promise<boolean> {
    const running = this.#loading.get(key.relayId)
    if (running !== undefined) return running
    const loading = this.#workOut(key).finally(() => this.#loading.delete(key.relayId))
    this.#loading.set(key.relayId, loading)
    return loading
  }

  async #workOut(key: RelayKey): Promise<boolean> {
    const heard = this.#changes
    try {
      const isHeard = this.#options.changes.silentMs <= RE_READ_AFTER_MS
      const patienceMs = isHeard ? HEARD_TIMEOUT_MS : SILENT_TIMEOUT_MS
      const relayed = await withinTime(patienceMs, this.#relayed(key))
      if (this.#entries.size >= MOST_REMEMBERED) this.#entries.clear()
      this.#entries.set(key.relayId, {
        meshId: key.meshId,
        served: relayed === undefined ? undefined : servedOf(relayed),
        isStale: heard !== this.#changes,
      })
      return true
    } catch (error) {
      const { clock, log } = this.#options
      if (isDatabaseAway(error)) this.#awayUntil = clock.monotonicMs() + RETRY_MS
      log.warn(
        { event: 'relay.failed', meshId: key.meshId, error: messageOf(error) },
        "cannot work out a peer's bundle for our control planes; the last one stays",
      )
      return false
    }
  }

  async #relayed({
    meshId,
    ownTrustDomain,
    relayId,
  }: RelayKey): Promise<RelayedBundle | undefined> {
    const { db, now } = this.#options
    return inTransaction(db, async (trx) =>
      relayNow(trx, meshId, { relayId, ownTrustDomain, now: await now(trx) }),
    )
  }

  /** Counts a complete answer. */
  count({ meshId, relayId }: RelayKey, sequence: bigint): void {
    const lastMs = this.#options.clock.monotonicMs()
    const pending = this.#pending.get(relayId) ?? { meshId, count: 0, sequence, lastMs }
    pending.count += 1
    pending.lastMs = lastMs
    if (sequence > pending.sequence) pending.sequence = sequence
    this.#pending.set(relayId, pending)
  }

  /** Writes down what was counted; called once a second. What cannot be written is lost: it is only shown. */
  async flush(): Promise<void> {
    if (this.#pending.size === 0) return
    const batch = this.#pending
    this.#pending = new Map()
    const { db, now, clock } = this.#options
    const moment = (await now(db)).getTime()
    const at = clock.monotonicMs()
    const accesses: RelayAccesses[] = [...batch]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([relayId, { meshId, count, sequence, lastMs }]) => ({
        meshId,
        relayId,
        count,
        sequence,
        lastAt: new Date(moment - Math.round(at - lastMs)),
      }))
    await addRelayAccesses(db, accesses)
  }

  #invalidateWhere(isMeant: (entry: Entry) => boolean): void {
    this.#changes += 1
    for (const entry of this.#entries.values()) if (isMeant(entry)) entry.isStale = true
  }
}

function servedOf(relayed: RelayedBundle): ServedBundle {
  return representationsOf({ ...relayed, cause: 'relay', createdAt: relayed.changedAt })
}

async function withinTime<T>(patienceMs: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new ServiceError('DATABASE_UNAVAILABLE', 'no answer in time')),
    patienceMs,
  )
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
    work.catch(() => undefined)
  }
}
