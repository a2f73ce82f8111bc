import { type Clock } from '../../clock.ts'
import { ServiceError } from '../../errors.ts'

/** Messages a second on average, and at once, that this process looks at. */
const PROCESS = { perSecond: 20, burst: 200 } as const

/** Messages that showed the secret of one invite: each leads to a connection to where it says. */
const INVITE = { perSecond: 0.5, burst: 20 } as const

/** Invites remembered at once; the one longest unused goes first. */
const MAX_INVITES = 1000

interface Bucket {
  tokens: number
  atMs: number
}

/** Token buckets in memory: what a flood of handshakes can cost this process, and what one invite can. */
export class HandshakeLimits {
  readonly #clock: Clock
  readonly #process: Bucket = { tokens: PROCESS.burst, atMs: 0 }
  readonly #invites = new Map<string, Bucket>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts a message; throws RATE_LIMITED with the seconds to wait. */
  takeAny(): void {
    this.#take(this.#process, PROCESS)
  }

  /** Counts a message that showed the secret of this invite; throws RATE_LIMITED with the seconds to wait. */
  takeFor(inviteId: string): void {
    const known = this.#invites.get(inviteId)
    const bucket = known ?? { tokens: INVITE.burst, atMs: this.#clock.monotonicMs() }
    this.#invites.delete(inviteId)
    this.#invites.set(inviteId, bucket)
    const oldest = this.#invites.keys().next()
    if (this.#invites.size > MAX_INVITES && oldest.done !== true) this.#invites.delete(oldest.value)
    this.#take(bucket, INVITE)
  }

  #take(bucket: Bucket, rate: { readonly perSecond: number; readonly burst: number }): void {
    const nowMs = this.#clock.monotonicMs()
    const gained = ((nowMs - bucket.atMs) / 1000) * rate.perSecond
    bucket.tokens = Math.min(rate.burst, bucket.tokens + gained)
    bucket.atMs = nowMs
    if (bucket.tokens < 1) {
      throw new ServiceError('RATE_LIMITED', 'too many handshakes', {
        retryAfterSeconds: Math.max(1, Math.ceil((1 - bucket.tokens) / rate.perSecond)),
      })
    }
    bucket.tokens -= 1
  }
}
