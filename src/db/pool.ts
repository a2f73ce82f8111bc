import { Pool, types } from 'pg'
import { messageOf } from '../errors.ts'
import type { DatabaseLog } from './log.ts'

/** int8 as bigint and date as text, as on the embedded engine; a double would round sequences. */
types.setTypeParser(types.builtins.INT8, (text) => BigInt(text))
types.setTypeParser(types.builtins.DATE, (text) => text)

/** One pool of connections. */
export interface PoolOptions {
  readonly url: string
  readonly max: number
  readonly statementTimeoutMs: number
  readonly log: DatabaseLog
}

/**
 * A pool whose statements, lock waits and idle transactions have time limits, and which survives a server
 * restart: an idle connection's error is logged and the connection replaced, never thrown.
 */
export function openPool(options: PoolOptions): Pool {
  const pool = new Pool({
    connectionString: options.url,
    max: options.max,
    connectionTimeoutMillis: 5000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    statement_timeout: options.statementTimeoutMs,
    lock_timeout: 5000,
    idle_in_transaction_session_timeout: 30_000,
    application_name: 'entente',
  })
  // The pool listens to idle connections only. One that is lost between two statements of a transaction would end
  // the process; its next statement fails instead.
  pool.on('connect', (client) => {
    client.on('error', () => undefined)
  })
  pool.on('error', (error) => {
    options.log.warn(
      { event: 'database.connection-lost', error: messageOf(error) },
      'an idle database connection was lost',
    )
  })
  return pool
}
