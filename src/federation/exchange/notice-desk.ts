import { messageOf, ServiceError } from '../../errors.ts'
import { type Logger } from '../../http/log.ts'
import { type ArrivedCall } from './authenticate-peer.ts'
import { type Notice } from './notice.ts'

/** Notices looked at at once. */
const AT_ONCE = 8
/** Notices that wait to be looked at; beyond it callers are asked to come back. */
const MOST_WAITING = 1000

/**
 * Takes notices after their senders were answered, so that neither the answer nor its time tells what was made of
 * them. What waits when the process ends is lost, which polling repairs.
 */
export class NoticeDesk {
  readonly #take: (arrived: ArrivedCall, notice: Notice) => Promise<void>
  readonly #log: Pick<Logger, 'error'>
  readonly #waiting: { readonly arrived: ArrivedCall; readonly notice: Notice }[] = []
  readonly #running = new Set<Promise<void>>()
  #stopped = false

  constructor(options: {
    readonly take: (arrived: ArrivedCall, notice: Notice) => Promise<void>
    readonly log: Pick<Logger, 'error'>
  }) {
    this.#take = options.take
    this.#log = options.log
  }

  /** Puts a notice in the line; throws RATE_LIMITED when too many wait. */
  add(arrived: ArrivedCall, notice: Notice): void {
    if (this.#stopped || this.#waiting.length >= MOST_WAITING) {
      throw new ServiceError('RATE_LIMITED', 'too many notices wait, try again later', {
        retryAfterSeconds: 5,
      })
    }
    this.#waiting.push({ arrived, notice })
    this.#begin()
  }

  /** Resolves when every notice was looked at. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  /** Drops what waits and resolves when what was begun has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#waiting.length = 0
    await this.idle()
  }

  #begin(): void {
    const next = this.#running.size < AT_ONCE ? this.#waiting.shift() : undefined
    if (next === undefined) return
    const work = this.#work(next.arrived, next.notice).finally(() => {
      this.#running.delete(work)
      this.#begin()
    })
    this.#running.add(work)
  }

  async #work(arrived: ArrivedCall, notice: Notice): Promise<void> {
    try {
      await this.#take(arrived, notice)
    } catch (error) {
      this.#log.error(
        { event: 'notice.lost', kind: notice.kind, error: messageOf(error) },
        'a notice could not be taken; the next poll brings what it announced',
      )
    }
  }
}
