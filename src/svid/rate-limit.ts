import { isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { type Clock } from '../clock.ts'
import { ServiceError } from '../errors.ts'

/** So many a second on average, and so many at once. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** How many SVIDs may be asked for. */
export interface RateLimits {
  /** Of this process as a whole. */
  readonly perProcess: Rate
  /** Of one entry: many workloads may share it. */
  readonly perEntry: Rate
  /** From one address (of IPv6: one /64) by join token, before we know who asks. */
  readonly perSource: Rate
}

/** Far above what healthy workloads ask for; they stop a loop gone wrong from starving the others. */
export const DEFAULT_RATE_LIMITS: RateLimits = {
  perProcess: { perSecond: 5000, burst: 10_000 },
  perEntry: { perSecond: 200, burst: 2000 },
  perSource: { perSecond: 20, burst: 200 },
}

/** Buckets kept at once for entries and for sources; the one longest unused goes first. */
const MAX_BUCKETS = 20_000

/** What {@link RateLimiter} needs. */
export interface RateLimiterOptions {
  readonly clock: Clock
  readonly limits?: RateLimits
  /** Living replicas, among which the rates are divided; default one. */
  readonly replicas?: () => number
}

/** Token buckets in memory: nothing shared is written on the issuing path. */
export class RateLimiter {
  readonly #options: RateLimiterOptions
  readonly #limits: RateLimits
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: RateLimiterOptions) {
    this.#options = options
    this.#limits = options.limits ?? DEFAULT_RATE_LIMITS
  }

  /** Counts a request of somebody unknown; throws RATE_LIMITED with the seconds to wait. */
  takeForSource(source: string): void {
    // First what is theirs: one who is over it must not use up what all others share.
    this.#take('your address', this.#limits.perSource, `source ${networkOf(source)}`)
    this.#take('this service', this.#limits.perProcess, 'process')
  }

  /** Counts a request of a known identity; throws RATE_LIMITED with the seconds to wait. */
  takeForEntry(entryId: string): void {
    this.#take('this identity', this.#limits.perEntry, `entry ${entryId}`)
    this.#take('this service', this.#limits.perProcess, 'process')
  }

  #take(whose: string, rate: Rate, key: string): void {
    const replicas = Math.max(1, this.#options.replicas?.() ?? 1)
    const share = {
      perSecond: rate.perSecond / replicas,
      burst: Math.max(1, rate.burst / replicas),
    }
    const waitSeconds = this.#bucketOf(key, share).take(share, this.#options.clock.monotonicMs())
    if (waitSeconds === 0) return
    throw new ServiceError('RATE_LIMITED', `too many requests for SVIDs by ${whose}`, {
      retryAfterSeconds: Math.max(1, Math.ceil(waitSeconds)),
    })
  }

  #bucketOf(key: string, { burst }: Rate): Bucket {
    const known = this.#buckets.get(key)
    const bucket = known ?? new Bucket(burst, this.#options.clock.monotonicMs())
    if (known !== undefined) this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > MAX_BUCKETS) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest)
        break
      }
    }
    return bucket
  }
}

/** Who has one IPv6 address has the whole /64 around it (RFC 4291 §2.5.1), so all of it is one source. */
function networkOf(source: string): string {
  if (!isIPv6(source)) return source
  const address = ipaddr.process(source)
  if (address.kind() === 'ipv4') return address.toString()
  return `${Buffer.from(address.toByteArray().slice(0, 8)).toString('hex')}/64`
}

class Bucket {
  #tokens: number
  #atMs: number

  constructor(tokens: number, atMs: number) {
    this.#tokens = tokens
    this.#atMs = atMs
  }

  /** Takes one and answers 0, or answers how many seconds until there is one. */
  take({ perSecond, burst }: Rate, nowMs: number): number {
    const gained = ((nowMs - this.#atMs) / 1000) * perSecond
    this.#tokens = Math.min(burst, this.#tokens + gained)
    this.#atMs = nowMs
    if (this.#tokens < 1) return (1 - this.#tokens) / perSecond
    this.#tokens -= 1
    return 0
  }
}
