import { Batch } from '../../batch.ts'
import { type Db } from '../../db/schema.ts'
import { pollKey, type PollOutcome, settlePolls } from './poll-store.ts'

/** Polls that one look began end within moments of each other: their outcomes are worth one statement. */
const GATHER_MS = 25

/**
 * Writes the outcomes of polls that changed nothing, as many as are waiting in one statement, so that what a poll
 * costs the database does not depend on how many there are.
 */
export class PollSettler {
  readonly #batch: Batch<PollOutcome, boolean>

  constructor(db: Db) {
    this.#batch = new Batch({
      name: 'the outcomes of polls',
      run: async (outcomes) => {
        const held = await settlePolls(db, outcomes)
        return outcomes.map(({ task }) => held.has(pollKey(task.relationshipId, task.trustDomain)))
      },
      most: 500,
      // Far more than the scheduler has in flight: an outcome is never refused.
      mostWaiting: 10_000,
      gatherMs: GATHER_MS,
    })
  }

  /** Resolves when the outcome is committed: true, or false when its lease had passed on and nothing changed. */
  async settle(outcome: PollOutcome): Promise<boolean> {
    return this.#batch.add(outcome)
  }
}
