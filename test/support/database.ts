import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { openAsBlob, readFileSync, readdirSync } from 'node:fs'
import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PGlite } from '@electric-sql/pglite'
import { PGliteDialect, PostgresDialect } from 'kysely'
import { Client, Pool } from 'pg'
import type { Test } from 'tap'
import { type Database, guardedKysely, openDatabase } from '../../src/db/connect.ts'
import { MIGRATIONS_FOLDER, migrate } from '../../src/db/migrate.ts'
import { listenOnPglite } from '../../src/db/notify.ts'
import { openPglite } from '../../src/db/pglite.ts'
import { testFolder } from './test-folder.ts'

/** A server that tests may make databases on; without it they run on the embedded engine. */
export const POSTGRES_URL = process.env['ENTENTE_TEST_DATABASE_URL']

const untar = promisify(execFile)

export const quiet = { warn: () => undefined, error: () => undefined, info: () => undefined }

/** The part of a test that the helpers need. */
export type Teardown = Pick<Test, 'teardown'>

/** A migrated database of this test's own, closed (and dropped) when the test ends. */
export async function testDatabase(t: Teardown): Promise<Database> {
  if (POSTGRES_URL !== undefined) return openTestPostgres(t, POSTGRES_URL)
  const pglite = await openPglite({ dump: await openAsBlob(await templatePath()) })
  const db = guardedKysely(new PGliteDialect({ pglite }))
  t.teardown(async () => {
    await db.destroy()
    // A handle that was never used does not close what it would have opened.
    if (!pglite.closed) await pglite.close()
  })
  return {
    engine: 'pglite',
    db,
    background: db,
    listen: (listening) => listenOnPglite(pglite, listening),
    close: () => db.destroy(),
  }
}

/** The URL of a fresh migrated database on the server at `POSTGRES_URL`, dropped when the test ends. */
export async function testPostgresUrl(t: Teardown, server: string): Promise<string> {
  const template = await templateDatabase(server)
  const name = `entente_test_${randomUUID().replaceAll('-', '')}`
  await onServer(server, `create database ${name} template ${template} strategy file_copy`)
  t.teardown(() => onServer(server, `drop database if exists ${name} with (force)`))
  return withDatabase(server, name)
}

async function openTestPostgres(t: Teardown, server: string): Promise<Database> {
  const url = await testPostgresUrl(t, server)
  const database = await openDatabase({ engine: 'postgres', url, maxConnections: 10, log: quiet })
  t.teardown(() => database.close())
  return database
}

function migrationsDigest(): string {
  const hash = createHash('sha256')
  for (const name of readdirSync(MIGRATIONS_FOLDER).toSorted()) {
    hash.update(name).update(readFileSync(join(MIGRATIONS_FOLDER, name)))
  }
  return hash.digest('hex').slice(0, 16)
}

/**
 * Fills a data folder that has no database yet with a migrated one, as if a service had been started there once
 * and had stored nothing: that start takes seconds, most of them for initdb.
 */
export async function seedDataFolder(folder: string): Promise<void> {
  const place = join(folder, 'pg')
  if (await exists(place)) return
  await mkdir(place, { recursive: true, mode: 0o700 })
  await untar('tar', ['-xf', await templatePath(), '-C', place])
}

/** A folder of this test for a service on the embedded engine, filled by {@link seedDataFolder}. */
export async function seededFolder(t: Teardown): Promise<string> {
  const folder = testFolder(t)
  await seedDataFolder(folder)
  return folder
}

async function templatePath(): Promise<string> {
  const folder = join(tmpdir(), 'entente-test-templates')
  const path = join(folder, `${migrationsDigest()}-small.tar`)
  if (!(await exists(path))) await makeTemplateDump(folder, path)
  return path
}

/**
 * Postgres keeps 16 MB segments, 128 MB of buffers and two databases to copy others from; every test would read
 * and touch them. The template has what one database needs.
 */
async function makeTemplateDump(folder: string, path: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const pglite = await PGlite.create({ initDbStartParams: ['--wal-segsize=1'] })
  const db = guardedKysely(new PGliteDialect({ pglite }))
  await migrate(db)
  await pglite.exec('update pg_database set datistemplate = false')
  for (const unused of ['template0', 'template1']) await pglite.exec(`drop database ${unused}`)
  await pglite.exec("alter system set shared_buffers = '8MB'")
  await pglite.exec('checkpoint')
  const dump = await pglite.dumpDataDir('none')
  await db.destroy()
  const draft = `${path}.${process.pid}`
  await writeFile(draft, new Uint8Array(await dump.arrayBuffer()))
  await rename(draft, path)
}

async function templateDatabase(server: string): Promise<string> {
  const name = `entente_template_${migrationsDigest()}`
  const client = new Client({ connectionString: server })
  await client.connect()
  try {
    await client.query('select pg_advisory_lock(7011)')
    const found = await client.query('select 1 from pg_database where datname = $1', [name])
    if (found.rowCount === 0) await makeTemplateDatabase(client, server, name)
  } finally {
    await client.end()
  }
  return name
}

async function makeTemplateDatabase(client: Client, server: string, name: string): Promise<void> {
  await client.query(`drop database if exists ${name}_draft`)
  await client.query(`create database ${name}_draft`)
  const pool = new Pool({ connectionString: withDatabase(server, `${name}_draft`) })
  const db = guardedKysely(new PostgresDialect({ pool }))
  await migrate(db)
  await db.destroy()
  await client.query(`alter database ${name}_draft rename to ${name}`)
}

async function onServer(server: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: server })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

function withDatabase(server: string, name: string): string {
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
