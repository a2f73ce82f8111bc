import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { deleteChanges } from './change-log-store.ts'

/** How long what changed is kept: a replica that heard nothing for longer loads everything anew. */
const KEPT_MS = 3_600_000

/** Retention of the log of changes; run by a ticker, on any replica, any number of times. Answers how many went. */
export async function pruneChanges(db: Db, now: DbClock): Promise<number> {
  const moment = await now(db)
  return deleteChanges(db, new Date(moment.getTime() - KEPT_MS))
}
