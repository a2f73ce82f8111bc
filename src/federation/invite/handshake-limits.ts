import { type Clock } from '../../clock.ts'
import { Buckets, networkOf, type Rate } from '../../http/token-buckets.ts'

/** Messages a second on average, and at once, that this process looks at. */
const PROCESS: Rate = { perSecond: 40, burst: 800 }

/** Of them from one address (of IPv6: one /64); a balancer may stand before many acceptors. */
const SOURCE: Rate = { perSecond: 5, burst: 100 }

/** Messages that showed the secret of one invite: each leads to a connection to where it says. */
const INVITE: Rate = { perSecond: 0.5, burst: 20 }

/** Invites remembered at once; the one longest unused goes first. */
const MAX_INVITES = 1000

/** Token buckets in memory: what a flood of handshakes can cost this process, and what one invite can. */
export class HandshakeLimits {
  // One for each kind: whoever sends from very many addresses must not push out, and so refill, what counts invites.
  readonly #process: Buckets
  readonly #sources: Buckets
  readonly #invites: Buckets

  constructor(clock: Clock) {
    this.#process = new Buckets(clock, PROCESS)
    this.#sources = new Buckets(clock, SOURCE)
    this.#invites = new Buckets(clock, INVITE, { most: MAX_INVITES })
  }

  /** Counts a message before its body is read; throws RATE_LIMITED with the seconds to wait. */
  takeForSource(address: string | undefined): void {
    // First what is theirs: one who is over it must not use up what all others share.
    this.#sources.take(networkOf(address))
    this.#process.take('all')
  }

  /** Counts a message that showed the secret of this invite; throws RATE_LIMITED with the seconds to wait. */
  takeFor(inviteId: string): void {
    this.#invites.take(inviteId)
  }
}
