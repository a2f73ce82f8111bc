import { isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { type Clock } from '../clock.ts'
import { ServiceError } from '../errors.ts'

/** So many a second on average, and so many at once. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** What can be said of the buckets of one kind. */
export interface BucketsOptions {
  /** Kept at once; the one used longest ago leaves first, and by then most are full again. Default 20,000. */
  readonly most?: number
  /** What somebody is told who is refused. */
  readonly message?: string
  readonly next?: string
  /** Counts refusals. */
  readonly onRefused?: () => void
  /** Living replicas, among which the rate is divided; default one. */
  readonly replicas?: () => number
}

const MOST_BUCKETS = 20_000

interface Bucket {
  readonly tokens: number
  readonly atMs: number
}

/** Token buckets of one kind in the memory of one process. */
export class Buckets {
  readonly #clock: Clock
  readonly #rate: Rate
  readonly #options: BucketsOptions
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock, rate: Rate, options: BucketsOptions = {}) {
    this.#clock = clock
    this.#rate = rate
    this.#options = options
  }

  /**
   * Counts one of this key; throws RATE_LIMITED with the seconds to wait.
   *
   * `leave` is the part of a full bucket, from 0 up to 1, that this one may not touch, for others that matter more.
   */
  take(key: string, leave = 0): void {
    const { perSecond, burst } = this.#share()
    const nowMs = this.#clock.monotonicMs()
    const before = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs }
    const gained = ((nowMs - before.atMs) / 1000) * perSecond
    const tokens = Math.min(burst, before.tokens + gained)
    const needed = 1 + (burst - 1) * leave
    const isRefused = tokens < needed
    this.#keep(key, { tokens: isRefused ? tokens : tokens - 1, atMs: nowMs })
    if (isRefused) throw this.#refusal((needed - tokens) / perSecond)
  }

  #share(): Rate {
    const { perSecond, burst } = this.#rate
    const replicas = Math.max(1, this.#options.replicas?.() ?? 1)
    return { perSecond: perSecond / replicas, burst: Math.max(1, burst / replicas) }
  }

  #refusal(waitSeconds: number): ServiceError {
    const { message = 'too many calls, try again later', next, onRefused } = this.#options
    onRefused?.()
    return new ServiceError('RATE_LIMITED', message, {
      retryAfterSeconds: Math.max(1, Math.ceil(waitSeconds)),
      ...(next === undefined ? {} : { next }),
    })
  }

  // Deleted first, so that the order of the map is that of the last use.
  #keep(key: string, bucket: Bucket): void {
    this.#buckets.delete(key)
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size >= (this.#options.most ?? MOST_BUCKETS) && oldest !== undefined) {
      this.#buckets.delete(oldest)
    }
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
