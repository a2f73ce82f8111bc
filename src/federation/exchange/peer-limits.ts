import { isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { type Clock } from '../../clock.ts'
import { ServiceError } from '../../errors.ts'

/** So many a second on average, and so many at once. */
interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** How often this process takes peer calls: as a whole, from one address (of IPv6: one /64), of one relationship. */
export interface PeerRates {
  readonly perProcess: Rate
  readonly perSource: Rate
  readonly perRelationship: Rate
}

/** A peer asks once per poll and sends a notice per change; a balancer may stand before 100,000 of them. */
export const PEER_RATES: PeerRates = {
  perProcess: { perSecond: 1000, burst: 4000 },
  perSource: { perSecond: 400, burst: 2000 },
  perRelationship: { perSecond: 2, burst: 20 },
}

/** Of one kind; the one used longest ago leaves first, and by then most are full again. */
const MOST_BUCKETS = 20_000

/** Token buckets in the memory of one process; throws RATE_LIMITED with the seconds to wait. */
export class PeerLimits {
  // One for each kind: whoever calls from very many addresses must not push out, and so refill, what counts others.
  readonly #process: Buckets
  readonly #sources: Buckets
  readonly #relationships: Buckets

  constructor(clock: Clock, rates: PeerRates = PEER_RATES) {
    this.#process = new Buckets(clock, rates.perProcess)
    this.#sources = new Buckets(clock, rates.perSource)
    this.#relationships = new Buckets(clock, rates.perRelationship)
  }

  /** Counts a call before anything of it is looked at. */
  takeForSource(address: string | undefined): void {
    // First what is theirs: one who is over it must not use up what all others share.
    this.#sources.take(networkOf(address))
    this.#process.take('all')
  }

  /** Counts a call of a peer that has proven who it is. */
  takeForRelationship(relationshipId: string): void {
    this.#relationships.take(relationshipId)
  }
}

interface Bucket {
  readonly tokens: number
  readonly atMs: number
}

/** The buckets of one kind. */
class Buckets {
  readonly #clock: Clock
  readonly #rate: Rate
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock, rate: Rate) {
    this.#clock = clock
    this.#rate = rate
  }

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
    if (this.#buckets.size >= MOST_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest)
    this.#buckets.set(key, bucket)
  }
}

function networkOf(address: string | undefined): string {
  if (address === undefined || !isIPv6(address)) return address ?? 'unknown'
  const parsed = ipaddr.IPv6.parse(address)
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString()
  return parsed.parts.slice(0, 4).join(':')
}
