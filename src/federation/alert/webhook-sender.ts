import { addSeconds } from '../../clock.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { messageOf } from '../../errors.ts'
import { type Logger } from '../../http/log.ts'
import { type Metrics } from '../../http/metrics.ts'
import {
  type ClaimedWebhook,
  claimWebhooks,
  type Delivery,
  type DeliveryOutcome,
  extendClaim,
  findDueDelivery,
  releaseClaim,
  settleDelivery,
} from './delivery-store.ts'
import { MAX_TRIES, waitSeconds } from './next-try.ts'
import { type SendDeps, sendToWebhook, type Sent } from './send-webhook.ts'

/** What sending queued deliveries needs. */
export interface WebhookSenderOptions extends SendDeps {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  /** This replica's name; it owns the claims. */
  readonly owner: string
  readonly log: Pick<Logger, 'warn' | 'error'>
  readonly metrics: Pick<Metrics, 'webhookDeliveries'>
  /** From 0 to 1. */
  readonly random: () => number
}

/** Receivers that are sent to at once; one that hangs takes one place for ten seconds. */
const MAX_IN_FLIGHT = 16

/** Three times the longest request. */
const LEASE_SECONDS = 30

/** Deliveries sent to one receiver before others have their turn. */
const MAX_IN_TURN = 50

/** Longest error text that is kept and shown. */
const MAX_ERROR_LENGTH = 500

/**
 * Sends what is queued for webhooks: at least once, one request at a time to each receiver, so that one that hangs
 * delays no other.
 *
 * A replica claims a webhook with a lease; what it sent when it was killed is sent again by another under the same
 * `webhook-id`.
 */
export class WebhookSender {
  readonly #options: WebhookSenderOptions
  readonly #inFlight = new Set<Promise<void>>()
  readonly #stopping = new AbortController()

  constructor(options: WebhookSenderOptions) {
    this.#options = options
  }

  /** Claims receivers that something is due for and begins to send; resolves before that has ended. */
  async claim(): Promise<void> {
    const { db, now, owner } = this.#options
    const limit = MAX_IN_FLIGHT - this.#inFlight.size
    if (limit <= 0 || this.#stopping.signal.aborted) return
    const at = await now(db)
    const leaseUntil = addSeconds(at, LEASE_SECONDS)
    for (const claim of await claimWebhooks(db, { owner, now: at, leaseUntil, limit })) {
      this.#begin(claim)
    }
  }

  /** Resolves when nothing is being sent. */
  async idle(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight)
  }

  /** Claims no more, aborts what is being sent and gives the receivers back. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the service is stopping'))
    await this.idle()
  }

  #begin(claim: ClaimedWebhook): void {
    const turn = this.#turn(claim).finally(() => this.#inFlight.delete(turn))
    this.#inFlight.add(turn)
  }

  async #turn(claim: ClaimedWebhook): Promise<void> {
    try {
      for (let count = 0; count < MAX_IN_TURN; count += 1) {
        if (!(await this.#sendNext(claim))) break
      }
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#tellLost(claim, error)
    }
    await releaseClaim(this.#options.db, claim).catch((error: unknown) => {
      this.#tellLost(claim, error)
    })
  }

  /** Sends what is due longest; false when that ends the turn: one that failed gives its place to others. */
  async #sendNext(claim: ClaimedWebhook): Promise<boolean> {
    const { db, now } = this.#options
    if (this.#stopping.signal.aborted) return false
    const at = await now(db)
    if (!(await extendClaim(db, claim, addSeconds(at, LEASE_SECONDS)))) return false
    const delivery = await findDueDelivery(db, claim.webhook.id, at)
    if (delivery === undefined) return false
    const { id, body } = delivery
    const message = { id, at, body }
    const sent = await sendToWebhook(
      this.#options,
      { webhook: claim.webhook, message },
      this.#stopping.signal,
    )
    const outcome = outcomeOf(delivery, sent, { at: await now(db), random: this.#options.random() })
    this.#tell(claim, { delivery, outcome })
    const held = await settleDelivery(db, claim, { id, outcome })
    return held && sent.delivered
  }

  #tell(
    { webhook }: ClaimedWebhook,
    { delivery, outcome }: { readonly delivery: Delivery; readonly outcome: DeliveryOutcome },
  ): void {
    this.#options.metrics.webhookDeliveries.inc({ outcome: wordFor(outcome) })
    if (outcome.error === undefined) return
    const fields = {
      event: 'webhook.failed',
      meshId: webhook.meshId,
      object: webhook.name,
      attempt: outcome.attempts,
      status: outcome.status,
      outcome: wordFor(outcome),
      kind: delivery.event,
      error: outcome.error,
    }
    this.#options.log.warn(fields, 'webhook delivery failed')
  }

  #tellLost({ webhook }: ClaimedWebhook, error: unknown): void {
    const fields = {
      event: 'webhook.lost',
      meshId: webhook.meshId,
      object: webhook.name,
      error: messageOf(error),
    }
    this.#options.log.error(fields, 'a webhook delivery could not be sent or written down')
  }
}

/** What a try leads to: delivered, another try later, or dead after {@link MAX_TRIES}. */
export function outcomeOf(
  { attempts: before }: Pick<Delivery, 'attempts'>,
  { delivered, status, error }: Sent,
  { at, random }: { readonly at: Date; readonly random: number },
): DeliveryOutcome {
  const attempts = before + 1
  const text = error?.message.slice(0, MAX_ERROR_LENGTH).replaceAll('\0', '?').toWellFormed()
  const tried = { attempts, at, status, error: text }
  if (delivered) return { ...tried, state: 'delivered', nextAt: at }
  if (attempts >= MAX_TRIES) return { ...tried, state: 'dead', nextAt: at }
  return { ...tried, state: 'pending', nextAt: addSeconds(at, waitSeconds(attempts, random)) }
}

function wordFor({ state }: Pick<DeliveryOutcome, 'state'>): 'delivered' | 'failed' | 'dead' {
  return state === 'pending' ? 'failed' : state
}
