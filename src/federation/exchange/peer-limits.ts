import { type Clock } from '../../clock.ts'
import { Buckets, networkOf, type Rate } from '../../http/token-buckets.ts'

/** How often this process takes peer calls: as a whole, from one address (of IPv6: one /64), of one relationship. */
export interface PeerRates {
  readonly perProcess: Rate
  readonly perSource: Rate
  readonly perRelationship: Rate
}

/** A peer asks once per poll and sends a notice per change; a balancer may stand before 100,000 of them. */
const PEER_RATES: PeerRates = {
  perProcess: { perSecond: 1000, burst: 4000 },
  perSource: { perSecond: 400, burst: 2000 },
  perRelationship: { perSecond: 2, burst: 20 },
}

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
