import type { Db } from '../db/schema.ts'
import type { DbClock } from '../db/time.ts'
import { beat, countReplicas, deleteReplica } from './replica-store.ts'

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
  #living = 1

  constructor(options: ReplicaPresenceOptions) {
    this.#options = options
  }

  /** Replicas that lived at the last beat, this one included. */
  get living(): number {
    return this.#living
  }

  /** Says that this replica lives, and looks who else does; forgets replicas that were silent for a day. */
  async beat(): Promise<void> {
    const { db, now, replicaId } = this.#options
    const moment = await now(db)
    await beat(db, replicaId, moment)
    this.#living = Math.max(1, await countReplicas(db, moment))
  }

  /** Says that this replica ends. */
  async leave(): Promise<void> {
    await deleteReplica(this.#options.db, this.#options.replicaId)
  }
}
