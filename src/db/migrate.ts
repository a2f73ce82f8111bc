import { promises as fs } from 'node:fs'
import path from 'node:path'
import { PostgresAdapter, PostgresDialect, type PostgresPool, sql } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import { ServiceError, messageOf } from '../errors.ts'
import { codeOf, translateDatabaseFailure } from './failures.ts'
import { guardedKysely } from './connect.ts'
import type { DatabaseLog } from './log.ts'
import { openPool } from './pool.ts'
import type { Db } from './schema.ts'

/** The folder of the migrations. */
export const MIGRATIONS_FOLDER = path.join(import.meta.dirname, '../../migrations')

/** The fact in `service_meta` that tells how new a code must be to use the database, as a number of a migration. */
const MIN_CODE_VERSION = 'min_code_version'

/** How long one replica waits for another that migrates. */
const LOCK_SECONDS = 60

/** What happened. */
export interface MigrationOutcome {
  readonly applied: readonly string[]
}

/**
 * Brings the database to the newest migration, one replica at a time.
 *
 * A database that is ahead of this code is used when its `min_code_version` allows it and refused with
 * CONFIGURATION_INVALID otherwise.
 */
export async function migrate(db: Db, folder = MIGRATIONS_FOLDER): Promise<MigrationOutcome> {
  if (await isAhead(db, folder)) return { applied: [] }
  const migrator = new Migrator({
    db,
    provider: new FileMigrationProvider({ fs, path, migrationFolder: folder }),
  })
  const { error, results } = await migrator.migrateToLatest()
  if (error instanceof Error) throw error
  if (error !== undefined) throw new Error('the migration failed', { cause: error })
  const applied = (results ?? []).map((result) => result.migrationName)
  return { applied }
}

/** How a Postgres is migrated. */
export interface PostgresMigration {
  readonly url: string
  readonly log: DatabaseLog
  /** How long to wait for another replica that migrates; default 60. */
  readonly lockSeconds?: number
}

/**
 * Migrates over a direct connection of its own (a pooler may not carry the session lock).
 *
 * Throws as {@link migrate} does, and CONFIGURATION_INVALID naming the process that held the lock for too long.
 */
export async function migratePostgres(options: PostgresMigration): Promise<MigrationOutcome> {
  const { url, log, lockSeconds = LOCK_SECONDS } = options
  const pool = openPool({ url, max: 2, statementTimeoutMs: 0, log })
  const adapter = new MigrationAdapter(lockSeconds)
  const db = guardedKysely(new MigrationDialect(pool, adapter))
  try {
    return await migrate(db)
  } catch (error) {
    throw translateDatabaseFailure(await explainFailure(db, error, lockSeconds))
  } finally {
    await db.destroy()
  }
}

class MigrationDialect extends PostgresDialect {
  readonly #adapter: MigrationAdapter

  constructor(pool: PostgresPool, adapter: MigrationAdapter) {
    super({ pool })
    this.#adapter = adapter
  }

  override createAdapter(): PostgresAdapter {
    return this.#adapter
  }
}

/** Kysely's own lock waits for an hour; a service that starts should say who is in the way. */
class MigrationAdapter extends PostgresAdapter {
  readonly #lockSeconds: number

  constructor(lockSeconds: number) {
    super()
    this.#lockSeconds = lockSeconds
  }

  override async acquireMigrationLock(
    ...[db]: Parameters<PostgresAdapter['acquireMigrationLock']>
  ): Promise<void> {
    await sql`
      with lock_limit as (select set_config('lock_timeout', ${`${this.#lockSeconds}s`}, true) as value)
      select pg_advisory_lock(${sql.lit(MIGRATION_LOCK)}) from lock_limit`.execute(db)
  }
}

/** The advisory lock that Kysely's PostgresAdapter takes and releases. */
const MIGRATION_LOCK = 3853314791062309107n

async function explainFailure(db: Db, error: unknown, lockSeconds: number): Promise<unknown> {
  if (codeOf(error) !== '55P03') return error
  const { rows } = await sql<{ holder: string }>`
    select 'process ' || a.pid || ' (' || coalesce(nullif(a.application_name, ''), 'unnamed') ||
      ' from ' || coalesce(host(a.client_addr), 'this machine') || ')' as holder
    from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted
      and (l.classid::bigint << 32) + l.objid::bigint = ${MIGRATION_LOCK}`.execute(db)
  return new ServiceError(
    'CONFIGURATION_INVALID',
    `waited ${lockSeconds} s for the migration lock, held by ${rows[0]?.holder ?? 'nobody any more'}`,
    { cause: error, next: 'let that process finish its migration, or end it, and start again' },
  )
}

/** Whether the database has migrations that this code does not know and says that this code may still use it. */
async function isAhead(db: Db, folder: string): Promise<boolean> {
  const known = await newestKnown(folder)
  const newest = await newestApplied(db)
  if (newest === undefined || newest <= known) return false
  const needed = await minCodeVersion(db)
  if (needed !== undefined && needed <= known) return true
  throw new ServiceError(
    'CONFIGURATION_INVALID',
    `the database is at migration ${newest} and needs code that knows at least ${needed ?? newest}; this code knows ${known}`,
    { next: 'start a newer version of entente, or restore the database from before the upgrade' },
  )
}

async function newestKnown(folder: string): Promise<number> {
  const names = await fs.readdir(folder)
  return Math.max(0, ...names.map((name) => Number.parseInt(name, 10)).filter(Number.isInteger))
}

async function newestApplied(db: Db): Promise<number | undefined> {
  try {
    const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(db)
    return Math.max(0, ...rows.map((row) => Number.parseInt(row.name, 10)))
  } catch (error) {
    if (codeOf(error) === '42P01') return undefined
    throw error
  }
}

async function minCodeVersion(db: Db): Promise<number | undefined> {
  try {
    const row = await db
      .selectFrom('service_meta')
      .select('value')
      .where('name', '=', MIN_CODE_VERSION)
      .executeTakeFirst()
    return row === undefined ? undefined : Number.parseInt(row.value, 10)
  } catch (error) {
    throw new ServiceError(
      'CONFIGURATION_INVALID',
      `cannot read ${MIN_CODE_VERSION}: ${messageOf(error)}`,
      { cause: error },
    )
  }
}
