import { type Db } from '../db/schema.ts'
import { pollKey, type PollOutcome, settlePolls } from './poll-store.ts'

/** Most outcomes in one statement. */
const MAX_BATCH = 500

interface Waiting {
  readonly outcome: PollOutcome
  readonly resolve: (held: boolean) => void
  readonly reject: (error: unknown) => void
}

/**
 * Writes the outcomes of polls that changed nothing, as many as are waiting in one statement: while one statement
 * is under way the next outcomes gather, so a quiet service writes at once and a busy one in large batches.
 */
export class PollSettler {
  readonly #db: Db
  #waiting: Waiting[] = []
  #writing = false

  constructor(db: Db) {
    this.#db = db
  }

  /** Resolves when the outcome is committed: true, or false when its lease had passed on and nothing changed. */
  settle(outcome: PollOutcome): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ outcome, resolve, reject })
      if (!this.#writing) void this.#write()
    })
  }

  async #write(): Promise<void> {
    this.#writing = true
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH)
      await this.#writeBatch(batch)
    }
    this.#writing = false
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      const held = await settlePolls(
        this.#db,
        batch.map(({ outcome }) => outcome),
      )
      for (const { outcome, resolve } of batch) {
        resolve(held.has(pollKey(outcome.task.relationshipId, outcome.task.trustDomain)))
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
}
