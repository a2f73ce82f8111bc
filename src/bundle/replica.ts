import type { Db } from '../db/schema.ts'
import type { DbClock } from '../db/time.ts'
import { beat, deleteReplica } from './replica-store.ts'

/** What {@link ReplicaPresence} needs. */
export interface ReplicaPresenceOptions {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  readonly replicaId: string
}

/**
 * Tells the other replicas that this one lives, so that no key signs before all of us serve it.
 *
 * A replica counts as living for 30 s after its last beat; one that stops in order takes its row with it.
 */
export class ReplicaPresence {
  readonly #options: ReplicaPresenceOptions

  constructor(options: ReplicaPresenceOptions) {
    this.#options = options
  }

  /** Says that this replica lives; forgets replicas that were silent for a day. */
  async beat(): Promise<void> {
    const { db, now, replicaId } = this.#options
    await beat(db, replicaId, await now(db))
  }

  /** Says that this replica ends. */
  async leave(): Promise<void> {
    await deleteReplica(this.#options.db, this.#options.replicaId)
  }
}
