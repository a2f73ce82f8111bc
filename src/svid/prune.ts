import { codeOf } from '../db/failures.ts'
import { type Db } from '../db/schema.ts'
import { type DbClock } from '../db/time.ts'
import { pruneTokens } from '../registry/join-tokens.ts'
import { endDayOf } from './issued.ts'
import {
  createPartition,
  deleteIssuedThrough,
  dropPartition,
  listPartitionDays,
} from './issued-store.ts'

const DAY_MS = 86_400_000

/** Days for which partitions are made ahead: the longest SVID ends tomorrow. */
const DAYS_AHEAD = 3

/** What {@link keepRecords} needs. */
export interface KeepRecordsDeps {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  readonly log: { warn(fields: object, message: string): void }
}

/**
 * Retention of what issuing leaves behind; run by a ticker, on any replica, any number of times.
 *
 * Records of issued SVIDs go with their whole partition a day after the last of them ended; join tokens 30 days
 * after they were used or ended. Partitions are made some days ahead; a day that has none stands in the default
 * partition and is deleted from there.
 */
export async function keepRecords({ db, now, log }: KeepRecordsDeps): Promise<void> {
  const moment = await now(db)
  const lastDay = dayAt(moment, -2)
  for (const day of await listPartitionDays(db)) if (day <= lastDay) await dropPartition(db, day)
  await deleteIssuedThrough(db, lastDay)
  await pruneTokens(db, moment)
  for (let ahead = 0; ahead <= DAYS_AHEAD; ahead += 1) {
    await partitionFor(db, log, dayAt(moment, ahead))
  }
}

// A day that already has rows in the default partition cannot get one of its own: it stays where it is.
async function partitionFor(db: Db, log: KeepRecordsDeps['log'], day: string): Promise<void> {
  try {
    await createPartition(db, day)
  } catch (error) {
    if (!isTaken(error)) throw error
    log.warn({ event: 'svid.partition-kept-default', reason: day }, 'records stay in the default')
  }
}

/** check_violation: rows of that day stand in the default partition. duplicate_table: another replica was first. */
function isTaken(error: unknown): boolean {
  return ['23514', '42P07'].includes(codeOf(error) ?? '')
}

function dayAt(moment: Date, days: number): string {
  return endDayOf(new Date(moment.getTime() + days * DAY_MS))
}
