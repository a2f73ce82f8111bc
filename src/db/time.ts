import { sql } from 'kysely'
import type { Db } from './schema.ts'

/** Reads the time that all replicas share. */
export type DbClock = (db: Db) => Promise<Date>

/**
 * The database's clock, to the millisecond.
 *
 * Lifecycles, leases and due times go by it, so that replicas with different clocks decide alike.
 */
export const databaseNow: DbClock = async (db) => {
  const { rows } = await sql<{
    now: Date
  }>`select clock_timestamp()::timestamptz(3) as now`.execute(db)
  const row = rows[0]
  if (row === undefined) throw new Error('the database did not tell the time')
  return row.now
}
