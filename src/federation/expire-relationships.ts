import { inTransaction } from '../db/connect.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type DbClock } from '../db/time.ts'
import { type RelationshipDependants, endWith } from './end-relationship.ts'
import { listExpired } from './expiry-store.ts'
import { findRelationshipLocked } from './find-relationship.ts'
import { type Relationship } from './relationship.ts'

/** What ending relationships whose time is up needs. */
export interface ExpiryDeps {
  readonly db: Db
  readonly now: DbClock
  readonly dependants: readonly RelationshipDependants[]
  /** Called after the commit of each ending. */
  readonly onEnded: (relationship: Relationship) => void
}

/** Endings of one turn of the timer; the rest follow in the next. */
const MAX_PER_TURN = 100

/** The actor of endings by time. */
const EXPIRY_ACTOR = 'timer:relationship-expiry'

/**
 * Terminates relationships whose `expiresAt` has passed by the database's clock, each in a transaction of its own
 * with its audit record; answers how many. Any number of replicas may run it.
 */
export async function expireRelationships(deps: ExpiryDeps): Promise<number> {
  const due = await listExpired(deps.db, { now: await deps.now(deps.db), limit: MAX_PER_TURN })
  let ended = 0
  for (const { meshId, name } of due) {
    const after = await expire(deps, meshId, name)
    if (after === undefined) continue
    ended += 1
    deps.onEnded(after)
  }
  return ended
}

async function expire(
  { db, now, dependants }: ExpiryDeps,
  meshId: MeshId,
  name: string,
): Promise<Relationship | undefined> {
  return inTransaction(db, async (trx) => {
    const before = await findRelationshipLocked(trx, meshId, name)
    const at = await now(trx)
    if (before === undefined || !isOver(before, at)) return undefined
    const { relationship } = await endWith(trx, before, {
      event: 'expire',
      context: { actor: EXPIRY_ACTOR, now: at },
      reason: `it was made to end at ${before.expiresAt?.toISOString()}`,
      dependants,
    })
    return relationship
  })
}

// The row may have changed between the list and its lock.
function isOver({ expiresAt, state }: Relationship, now: Date): boolean {
  return expiresAt !== undefined && expiresAt <= now && state !== 'terminated'
}
