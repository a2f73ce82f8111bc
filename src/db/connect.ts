import {
  type DatabaseConnection,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type IsolationLevel,
  Kysely,
  PGliteDialect,
  PostgresDialect,
} from 'kysely'
import { ServiceError } from '../errors.ts'
import { isDatabaseAway, isRetryable, translateDatabaseFailure } from './failures.ts'
import { lockFolder } from './folder-lock.ts'
import type { DatabaseLog } from './log.ts'
import { type Listening, listenOnPglite, listenOnPostgres } from './notify.ts'
import { openPglite } from './pglite.ts'
import { openPool } from './pool.ts'
import type { Db, Tables } from './schema.ts'
import { assertOutsideTransaction, markTransaction } from './transaction-scope.ts'

export type { Db } from './schema.ts'

/** Which engine holds the data. */
export type Engine = 'pglite' | 'postgres'

/** Where the data is: a folder for the embedded engine, or a Postgres URL. */
export type DatabaseOptions =
  | { readonly engine: 'pglite'; readonly folder: string; readonly log: DatabaseLog }
  | {
      readonly engine: 'postgres'
      readonly url: string
      /** For LISTEN; default the same as `url` (a pooler in front of `url` may not carry it). */
      readonly listenUrl?: string
      readonly maxConnections: number
      readonly log: DatabaseLog
    }

/** An open database. */
export interface Database {
  readonly engine: Engine
  /** For requests. */
  readonly db: Db
  /** For tickers: a small pool of its own on Postgres, the same handle on PGlite. */
  readonly background: Db
  /** Calls `onMessage` for each NOTIFY on the channel, and `onReconnect` whenever messages may have been missed. */
  listen(listening: Listening): Promise<() => Promise<void>>
  close(): Promise<void>
}

/**
 * Opens the embedded database in its folder (locked: one process) or the pools to Postgres.
 *
 * Throws DATA_FOLDER_LOCKED when another process holds the folder. A Postgres that is away shows at the first
 * query, not here.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  return options.engine === 'pglite' ? openEmbedded(options) : openPostgres(options)
}

async function openEmbedded(
  options: Extract<DatabaseOptions, { engine: 'pglite' }>,
): Promise<Database> {
  const lock = await lockFolder(options.folder)
  try {
    const pglite = await openPglite({ folder: options.folder })
    const db = guardedKysely(new PGliteDialect({ pglite }))
    return {
      engine: 'pglite',
      db,
      background: db,
      listen: (listening) => listenOnPglite(pglite, listening),
      close: async () => {
        await db.destroy()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

async function openPostgres(
  options: Extract<DatabaseOptions, { engine: 'postgres' }>,
): Promise<Database> {
  const pool = openPool({ ...options, max: options.maxConnections, statementTimeoutMs: 10_000 })
  const small = openPool({ ...options, max: 4, statementTimeoutMs: 60_000 })
  const db = guardedKysely(new PostgresDialect({ pool }))
  const background = guardedKysely(new PostgresDialect({ pool: small }))
  return {
    engine: 'postgres',
    db,
    background,
    listen: (listening) => listenOnPostgres(options.listenUrl ?? options.url, listening),
    close: async () => {
      await Promise.all([db.destroy(), background.destroy()])
    },
  }
}

/**
 * A Kysely over the dialect whose plain handle refuses to be used inside a transaction (TRANSACTION_MISUSE)
 * and whose connection failures are DATABASE_UNAVAILABLE.
 *
 * Where the dialect has one connection only, Kysely would wait for it before our check could refuse (a
 * deadlock), so the turn is taken here instead, after the check.
 */
export function guardedKysely(dialect: Dialect): Db {
  const single = dialect.createAdapter().supportsMultipleConnections === false
  return new Kysely<Tables>({
    dialect: {
      createAdapter: () =>
        single ? manyConnections(dialect.createAdapter()) : dialect.createAdapter(),
      createIntrospector: (db) => dialect.createIntrospector(db),
      createQueryCompiler: () => dialect.createQueryCompiler(),
      createDriver: () => guardDriver(dialect.createDriver(), single ? new Turns() : undefined),
    },
  })
}

function manyConnections(adapter: DialectAdapter): DialectAdapter {
  return Object.create(adapter, { supportsMultipleConnections: { value: true } }) as DialectAdapter
}

function guardDriver(driver: Driver, turns: Turns | undefined): Driver {
  return {
    init: (options) => driver.init(options),
    acquireConnection: async (options) => {
      assertOutsideTransaction('the plain database handle')
      await turns?.take()
      try {
        return await driver.acquireConnection(options)
      } catch (error) {
        turns?.give()
        throw translateDatabaseFailure(error)
      }
    },
    beginTransaction: (connection, settings) => driver.beginTransaction(connection, settings),
    commitTransaction: (connection) => commit(driver, connection),
    rollbackTransaction: (connection) => driver.rollbackTransaction(connection),
    releaseConnection: async (connection, options) => {
      await driver.releaseConnection(connection, options)
      turns?.give()
    },
    destroy: (options) => driver.destroy(options),
  }
}

/** Lets one user at a time have the only connection, in the order they asked. */
class Turns {
  #taken = false
  readonly #waiting: (() => void)[] = []

  async take(): Promise<void> {
    if (this.#taken) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#taken = true
  }

  give(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#taken = false
    else next()
  }
}

/** A connection lost during COMMIT leaves the outcome unknown: the caller must look before it tries again. */
async function commit(driver: Driver, connection: DatabaseConnection): Promise<void> {
  try {
    await driver.commitTransaction(connection)
  } catch (error) {
    if (!isDatabaseAway(error)) throw error
    throw new ServiceError(
      'OUTCOME_UNKNOWN',
      'the database went away while the change was being committed; it may or may not have taken effect',
      { cause: error, retryAfterSeconds: 5, next: 'read the object before trying again' },
    )
  }
}

/** How a transaction runs. */
export interface TransactionOptions {
  /** Run everything, answer with the value, and roll back. */
  readonly dryRun?: boolean | undefined
  readonly isolation?: IsolationLevel
}

/** Times a transaction that lost to another (40001, 40P01) is run again before its error is thrown. */
const RETRIES = 3

/**
 * Runs `body` in one transaction and answers with its value.
 *
 * Serialisation failures and deadlocks are run again three times, so `body` must have no effect outside the
 * database. Inside it the plain handle and the network are refused. Throws DATABASE_UNAVAILABLE,
 * OUTCOME_UNKNOWN, and whatever `body` throws.
 */
export async function inTransaction<T>(
  db: Db,
  body: (trx: Db) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await runTransaction(db, body, options)
    } catch (error) {
      if (error instanceof DryRun) return error.value as T
      if (!isRetryable(error) || attempt >= RETRIES) throw translateDatabaseFailure(error)
    }
  }
}

async function runTransaction<T>(
  db: Db,
  body: (trx: Db) => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  const builder = db.transaction()
  const isolated =
    options.isolation === undefined ? builder : builder.setIsolationLevel(options.isolation)
  return isolated.execute((trx) =>
    markTransaction(async () => {
      const value = await body(trx)
      if (options.dryRun === true) throw new DryRun(value)
      return value
    }),
  )
}

/** Carries the value of a dry run out of a transaction that must roll back. */
class DryRun extends Error {
  readonly value: unknown
  constructor(value: unknown) {
    super('dry run')
    this.value = value
  }
}
