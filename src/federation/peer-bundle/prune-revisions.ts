import { addSeconds } from '../../clock.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { pruneRevisions } from './history-store.ts'

/** How long, how many and how much of a relationship's bundle history is kept. */
const REVISION_RETENTION = {
  days: 90,
  maxRevisions: 1000,
  maxBytes: 64 * 1024 * 1024,
} as const

/** Deletes what of peers' bundle history is beyond the retention; answers how many revisions. */
export async function prunePeerRevisions(db: Db, now: DbClock): Promise<bigint> {
  const before = addSeconds(await now(db), -REVISION_RETENTION.days * 24 * 3600)
  const { maxRevisions, maxBytes } = REVISION_RETENTION
  return pruneRevisions(db, { before, maxRevisions, maxBytes })
}
