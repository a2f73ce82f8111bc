import { createHash, randomUUID } from 'node:crypto'
import { openAsBlob, readFileSync, readdirSync } from 'node:fs'
import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGliteDialect, PostgresDialect } from 'kysely'
import { Client, Pool } from 'pg'
import type { Test } from 'tap'
import { type Database, guardedKysely, openDatabase } from '../../src/db/connect.ts'
import { MIGRATIONS_FOLDER, migrate } from '../../src/db/migrate.ts'
import { listenOnPglite } from '../../src/db/notify.ts'
import { openPglite } from '../../src/db/pglite.ts'

/** A server that tests may make databases on; without it they run on the embedded engine. */
export const POSTGRES_URL = process.env['ENTENTE_TEST_DATABASE_URL']

export const quiet = { warn: () => undefined, error: () => undefined, info: () => undefined }

/** The part of a test that the helpers need. */
export type Teardown = Pick<Test, 'teardown'>

/** A migrated database of this test's own, closed (and dropped) when the test ends. */
export async function testDatabase(t: Teardown): Promise<Database> {
  if (POSTGRES_URL !== undefined) return openTestPostgres(t, POSTGRES_URL)
  const pglite = await openPglite({ dump: await templateDump() })
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
  await onServer(server, `create database ${name} template ${template}`)
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

async function templateDump(): Promise<Blob> {
  const folder = join(tmpdir(), 'entente-test-templates')
  const path = join(folder, `${migrationsDigest()}.tar`)
  if (!(await exists(path))) await makeTemplateDump(folder, path)
  return openAsBlob(path)
}

async function makeTemplateDump(folder: string, path: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const pglite = await openPglite({})
  const db = guardedKysely(new PGliteDialect({ pglite }))
  await migrate(db)
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
