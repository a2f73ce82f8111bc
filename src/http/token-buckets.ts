import { isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { type Clock } from '../clock.ts'
import { ServiceError } from '../errors.ts'

/** So many a second on average, and so many at once. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** Of one kind; the one used longest ago leaves first, and by then most are full again. */
const MOST_BUCKETS = 20_000

interface Bucket {
  readonly tokens: number
  readonly atMs: number
}

/** Token buckets of one kind in the memory of one process, at most `most` of them. */
export class Buckets {
  readonly #clock: Clock
  readonly #rate: Rate
  readonly #most: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock, rate: Rate, most = MOST_BUCKETS) {
    this.#clock = clock
    this.#rate = rate
    this.#most = most
  }

  /** Counts one of this key; throws RATE_LIMITED with the seconds to wait. */
  take(key: string): void {
    const { perSecond, burst } = this.#rate
    const nowMs = this.#clock.monotonicMs()
    const before = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs }
    const gained = ((nowMs - before.atMs) / 1000) * perSecond
    const tokens = Math.min(burst, before.tokens + gained)
    this.#keep(key, { tokens: tokens < 1 ? tokens : tokens - 1, atMs: nowMs })
    if (tokens >= 1) return
    throw new ServiceError('RATE_LIMITED', 'too many calls, try again later', {
      retryAfterSeconds: Math.max(1, Math.ceil((1 - tokens) / perSecond)),
    })
  }

  // Deleted first, so that the order of the map is that of the last use.
  #keep(key: string, bucket: Bucket): void {
    this.#buckets.delete(key)
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size >= this.#most && oldest !== undefined) this.#buckets.delete(oldest)
    this.#buckets.set(key, bucket)
  }
}

/** What counts as one source: an address; of IPv6 its /64, which whoever has one address of it has whole. */
export function networkOf(address: string | undefined): string {
  if (address === undefined || !isIPv6(address)) return address ?? 'unknown'
  const parsed = ipaddr.IPv6.parse(address)
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString()
  return parsed.parts.slice(0, 4).join(':')
}
