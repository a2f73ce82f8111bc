import type { Clock } from '../clock.ts'
import type { Changes } from '../db/changes.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { messageOf, ServiceError } from '../errors.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { type ServedBundle, representationsOf } from './representation.ts'
import { reportServed } from './replica-store.ts'
import type { BundleRevision } from './revision.ts'
import { findCurrentByName, listCurrent } from './store.ts'

/** What {@link CurrentBundles} needs. */
export interface CurrentBundlesOptions {
  /** The background handle: loading must not queue behind requests. */
  readonly db: Db
  readonly changes: Pick<Changes, 'on' | 'silentMs'>
  readonly clock: Clock
  readonly log: { warn(fields: object, message: string): void }
  /** How long memory is served while the database is away, in seconds; then 503. */
  readonly staleSeconds: number
  /** This replica's row; the sequences that it serves are noted there. */
  readonly replicaId?: string
}

// The counters are compared once a second; a quarter of a second is their turn.
const RE_READ_AFTER_MS = 1250
const RE_READ_TIMEOUT_MS = 500
const RETRY_MS = 1000
const REPORT_ALL_MS = 60_000

/**
 * The bundles that this replica serves, in memory: loaded at start, reloaded after every change.
 *
 * When the database has not been heard for over a second a bundle is read again before it is served; while the
 * database is away memory is served for `staleSeconds`, then DATABASE_UNAVAILABLE (FE-11).
 */
export class CurrentBundles {
  readonly #options: CurrentBundlesOptions
  readonly #served = new Map<TrustDomain, ServedBundle>()
  readonly #watchers = new Set<(meshId: MeshId) => void>()
  readonly #dirty = new Set<MeshId>()
  readonly #stopping = new AbortController()
  #reloading: Promise<void> | undefined
  readonly #reported = new Map<TrustDomain, bigint>()
  readonly #reReads = new Map<TrustDomain, Promise<boolean>>()
  #awayUntil = 0
  #reportedAllAt = 0

  constructor(options: CurrentBundlesOptions) {
    this.#options = options
    options.changes.on('bundle', (meshId) => this.#markDirty(meshId))
  }

  /** Loads every bundle; called when the changes that it follows are heard already, so that none is missed. */
  async start(): Promise<void> {
    for (const revision of await listCurrent(this.#options.db)) this.#put(revision)
    await this.report()
  }

  /** Ends reloading. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#reloading
  }

  /** Calls `watcher` after the bundles of a mesh were reloaded. */
  onReload(watcher: (meshId: MeshId) => void): void {
    this.#watchers.add(watcher)
  }

  /** What memory holds of a trust domain of ours, however old. */
  get(trustDomain: TrustDomain): ServedBundle | undefined {
    return this.#served.get(trustDomain)
  }

  /** All bundles in memory. */
  all(): readonly ServedBundle[] {
    return [...this.#served.values()]
  }

  /**
   * The bundle to serve now, or undefined when we have no such trust domain.
   *
   * Answers from memory without waiting while the database was heard within a second. Throws
   * DATABASE_UNAVAILABLE when it was not heard for `staleSeconds`.
   */
  fresh(trustDomain: TrustDomain): ServedBundle | undefined | Promise<ServedBundle | undefined> {
    if (this.#options.changes.silentMs <= RE_READ_AFTER_MS) return this.#served.get(trustDomain)
    return this.#freshAfterSilence(trustDomain)
  }

  /** The same without waiting: undefined also when the database was silent for so long that it must be asked. */
  freshNow(trustDomain: TrustDomain): ServedBundle | undefined {
    const heard = this.#options.changes.silentMs <= RE_READ_AFTER_MS
    return heard ? this.#served.get(trustDomain) : undefined
  }

  async #freshAfterSilence(trustDomain: TrustDomain): Promise<ServedBundle | undefined> {
    const { clock, changes, staleSeconds } = this.#options
    const tryAgain = clock.monotonicMs() >= this.#awayUntil
    if (tryAgain && (await this.#reRead(trustDomain))) return this.#served.get(trustDomain)
    const { silentMs } = changes
    if (silentMs <= staleSeconds * 1000) return this.#served.get(trustDomain)
    throw new ServiceError(
      'DATABASE_UNAVAILABLE',
      `the database has not answered for ${Math.round(silentMs / 1000)} s; the bundle in memory may be out of date`,
      { retryAfterSeconds: 5 },
    )
  }

  #reRead(trustDomain: TrustDomain): Promise<boolean> {
    const running = this.#reReads.get(trustDomain)
    if (running !== undefined) return running
    const reading = this.#readOne(trustDomain).finally(() => this.#reReads.delete(trustDomain))
    this.#reReads.set(trustDomain, reading)
    return reading
  }

  async #readOne(trustDomain: TrustDomain): Promise<boolean> {
    const { db, clock } = this.#options
    const timeout = AbortSignal.timeout(RE_READ_TIMEOUT_MS)
    const { promise, reject } = Promise.withResolvers<never>()
    timeout.addEventListener('abort', () => reject(new Error('timed out')), { once: true })
    try {
      const revision = await Promise.race([findCurrentByName(db, trustDomain), promise])
      if (revision === undefined) this.#served.delete(trustDomain)
      else this.#put(revision)
      return true
    } catch {
      this.#awayUntil = clock.monotonicMs() + RETRY_MS
      return false
    }
  }

  #put(revision: BundleRevision): void {
    const known = this.#served.get(revision.trustDomain)
    const isOlder = known?.meshId === revision.meshId && known.sequence >= revision.sequence
    if (!isOlder) this.#served.set(revision.trustDomain, representationsOf(revision))
  }

  #markDirty(meshId: MeshId): void {
    this.#dirty.add(meshId)
    this.#reloading ??= this.#reloadDirty().finally(() => {
      this.#reloading = undefined
    })
  }

  async #reloadDirty(): Promise<void> {
    const { signal } = this.#stopping
    while (this.#dirty.size > 0 && !signal.aborted) {
      const meshIds = [...this.#dirty]
      this.#dirty.clear()
      try {
        for (const meshId of meshIds) await this.#reload(meshId)
        await this.report()
      } catch (error) {
        for (const meshId of meshIds) this.#dirty.add(meshId)
        const fields = { event: 'bundle.reload-failed', error: messageOf(error) }
        this.#options.log.warn(fields, 'cannot reload bundles')
        await this.#options.clock.sleep(RETRY_MS, signal).catch(() => undefined)
      }
    }
  }

  async #reload(meshId: MeshId): Promise<void> {
    const revisions = await listCurrent(this.#options.db, meshId)
    const names = new Set(revisions.map(({ trustDomain }) => trustDomain))
    for (const served of this.all()) {
      if (served.meshId !== meshId || names.has(served.trustDomain)) continue
      this.#served.delete(served.trustDomain)
    }
    for (const revision of revisions) this.#put(revision)
    for (const watcher of this.#watchers) watcher(meshId)
  }

  /**
   * Notes in the database which sequences this replica serves, where they differ from what it noted before; all
   * of them once a minute. Called after every reload, and by a ticker for what failed.
   */
  async report(): Promise<void> {
    const { db, replicaId, clock } = this.#options
    if (replicaId === undefined) return
    if (clock.monotonicMs() - this.#reportedAllAt > REPORT_ALL_MS) this.#reported.clear()
    if (this.#reported.size === 0) this.#reportedAllAt = clock.monotonicMs()
    const news = this.all().filter(
      ({ trustDomain, sequence }) => this.#reported.get(trustDomain) !== sequence,
    )
    if (news.length === 0 || !(await reportServed(db, replicaId, news))) return
    for (const { trustDomain, sequence } of news) this.#reported.set(trustDomain, sequence)
  }
}
