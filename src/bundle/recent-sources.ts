/** Addresses kept of one reader: enough to see a cluster of replicas or a second user of its URL. */
export const MAX_SOURCES = 16

/** The addresses that a reader fetched from lately, in memory: the newest {@link MAX_SOURCES}. */
export class RecentSources {
  /** In the order of their last fetch. */
  readonly #lastMs = new Map<string, number>()

  /** Notes a fetch; one without an address (its connection is gone already) changes nothing. */
  note(address: string | undefined, atMs: number): void {
    if (address === undefined) return
    this.#lastMs.delete(address)
    this.#lastMs.set(address, atMs)
    if (this.#lastMs.size <= MAX_SOURCES) return
    const [oldest = ''] = this.#lastMs.keys()
    this.#lastMs.delete(oldest)
  }

  /** Takes over what was noted before by another, which is older. */
  addOlder(older: RecentSources): void {
    const newer = [...this.#lastMs]
    this.#lastMs.clear()
    for (const [address, atMs] of [...older.#lastMs, ...newer]) this.note(address, atMs)
  }

  /** Addresses and the moments of their last fetch, by the monotonic clock. */
  entries(): [address: string, atMs: number][] {
    return [...this.#lastMs]
  }
}

/** An IPv4 address that arrived over an IPv6 socket is shown as what it is. */
export function plainAddress(address: string | undefined): string | undefined {
  return address?.startsWith('::ffff:') === true ? address.slice('::ffff:'.length) : address
}
