import type { Clock } from '../clock.ts'
import type { Changes } from '../db/changes.ts'
import type { Db } from '../db/schema.ts'
import type { DbClock } from '../db/time.ts'
import { allFormerHosts, noteFetches } from '../mesh/move-mesh.ts'

/** What {@link FormerHosts} needs. */
export interface FormerHostsOptions {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  readonly clock: Clock
  readonly changes: Pick<Changes, 'on'>
}

/** A host name as it may be written down: of a `Host` header anybody may write anything. */
const HOST = /^[a-z0-9.:[\]-]{1,255}$/

/** The host in a `Host` header without its port, in lower case; undefined for what cannot be one. */
export function plainHost(header: string | undefined): string | undefined {
  const host = header?.replace(/:[0-9]+$/, '').toLowerCase()
  return host !== undefined && HOST.test(host) ? host.replace(/^\[(.*)\]$/, '$1') : undefined
}

/**
 * Who still comes by a host that a bundle endpoint has left: noted in memory, written down by
 * {@link FormerHosts.flush}, so that a former host can end when nobody does. Costs a fetch nothing while no mesh
 * moves.
 */
export class FormerHosts {
  readonly #options: FormerHostsOptions
  #hosts: ReadonlySet<string> = new Set()
  #seen = new Map<string, number>()
  #isDirty = true

  constructor(options: FormerHostsOptions) {
    this.#options = options
    options.changes.on('mesh', () => {
      this.#isDirty = true
    })
  }

  /** Notes that a bundle was fetched by a host. */
  note(host: string | undefined): void {
    if (this.#hosts.size === 0 || host === undefined || !this.#hosts.has(host)) return
    this.#seen.set(host, this.#options.clock.monotonicMs())
  }

  /** Writes down what was noted, and reads which hosts count. */
  async flush(): Promise<void> {
    const { db, now, clock } = this.#options
    if (this.#isDirty) {
      this.#isDirty = false
      try {
        this.#hosts = await allFormerHosts(db)
      } catch (error) {
        this.#isDirty = true
        throw error
      }
    }
    if (this.#seen.size === 0) return
    const seen = this.#seen
    this.#seen = new Map()
    const moment = (await now(db)).getTime()
    const at = clock.monotonicMs()
    await noteFetches(
      db,
      [...seen].map(([host, ms]) => ({ host, at: new Date(moment - Math.round(at - ms)) })),
    )
  }
}
