import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { Changes } from './db/changes.ts'
import { type Database, type DatabaseOptions, openDatabase } from './db/connect.ts'
import { newId } from './db/ids.ts'
import { type Keyring, openKeyring } from './db/keyring.ts'
import { migrate, migratePostgres } from './db/migrate.ts'
import { type DbClock, databaseNow } from './db/time.ts'
import { Alarms } from './http/alarms.ts'
import { Readiness } from './http/health.ts'
import type { Logger } from './http/log.ts'
import { type Metrics, createMetrics } from './http/metrics.ts'

/** What every part of the running service stands on. */
export interface Base {
  readonly config: Config
  readonly clock: Clock
  readonly now: DbClock
  readonly log: Logger
  readonly metrics: Metrics
  readonly alarms: Alarms
  readonly readiness: Readiness
  readonly database: Database
  readonly keyring: Keyring
  readonly changes: Changes
  /** This process among the replicas; new at every start. */
  readonly replicaId: string
}

/** What a service is started with; tests hand in a clock. */
export interface BaseOptions {
  readonly config: Config
  readonly clock: Clock
  readonly log: Logger
  readonly now?: DbClock
}

/** Where the data of this configuration is. */
export function databaseOptions(config: Config, log: Logger): DatabaseOptions {
  if (config.DATABASE_URL === undefined) {
    return { engine: 'pglite', folder: config.DATA_DIR, log }
  }
  return {
    engine: 'postgres',
    url: config.DATABASE_URL,
    ...(config.DATABASE_LISTEN_URL === undefined ? {} : { listenUrl: config.DATABASE_LISTEN_URL }),
    maxConnections: config.DATABASE_MAX_CONNECTIONS,
    log,
  }
}

/** The KEK file of this configuration: the one named, or the one made in the data folder. */
export function kekFile(config: Config): string {
  return config.KEK_FILE ?? join(config.DATA_DIR, 'kek')
}

/** Brings an open database to the newest migration; on Postgres over a direct connection of its own. */
export async function migrateDatabase(
  config: Config,
  database: Database,
  log: Logger,
): Promise<readonly string[]> {
  const url = config.DATABASE_LISTEN_URL ?? config.DATABASE_URL
  const outcome =
    url === undefined ? await migrate(database.db) : await migratePostgres({ url, log })
  if (outcome.applied.length > 0) {
    log.info({ event: 'database.migrated', migrations: outcome.applied }, 'database migrated')
  }
  return outcome.applied
}

/**
 * Opens the database, migrates it and opens the KEK.
 *
 * Throws what those throw (DATA_FOLDER_LOCKED, DATABASE_UNAVAILABLE, KEK_MISSING, KEK_WRONG, …) with the database
 * closed again.
 */
export async function openBase(options: BaseOptions): Promise<Base> {
  const { config, clock, log } = options
  const database = await openDatabase(databaseOptions(config, log))
  try {
    await migrateDatabase(config, database, log)
    const create = config.DATABASE_URL === undefined && config.KEK_FILE === undefined
    const { keyring, created } = await openKeyring(database.db, { file: kekFile(config), create })
    if (created) {
      log.info({ event: 'kek.created', path: kekFile(config) }, 'key encryption key created')
    }
    const metrics = createMetrics()
    return {
      config,
      clock,
      log,
      metrics,
      database,
      keyring,
      now: options.now ?? databaseNow,
      alarms: new Alarms({ log, metrics }),
      readiness: new Readiness(),
      changes: new Changes({ database, clock, log }),
      replicaId: `${hostname()}-${process.pid}-${newId().slice(0, 8)}`,
    }
  } catch (error) {
    await database.close()
    throw error
  }
}
