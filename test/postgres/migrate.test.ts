import { Client } from 'pg'
import t from 'tap'
import { migratePostgres } from '../../src/db/migrate.ts'
import { POSTGRES_URL, type Teardown, quiet, testPostgresUrl } from '../support/database.ts'

const server = POSTGRES_URL
const skip = server === undefined && 'needs ENTENTE_TEST_DATABASE_URL (a PostgreSQL server)'

async function connected(t: Teardown, url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

t.test('replicas that start at once migrate once and all go on', { skip }, async (t) => {
  if (server === undefined) return
  const url = await testPostgresUrl(t, server)
  const client = await connected(t, url)
  await client.query('drop schema public cascade')
  await client.query('create schema public')
  const outcomes = await Promise.all([1, 2, 3].map(() => migratePostgres({ url, log: quiet })))
  const applied = outcomes.map((outcome) => outcome.applied.length).toSorted((a, b) => b - a)
  t.ok((applied[0] ?? 0) >= 6, 'one of them applied everything')
  t.same(applied.slice(1), [0, 0])
})

t.test('a migration lock held for too long names its holder', { skip }, async (t) => {
  if (server === undefined) return
  const url = await testPostgresUrl(t, server)
  const client = await connected(t, url)
  await client.query("set application_name = 'stuck migration'")
  await client.query('select pg_advisory_lock(3853314791062309107)')
  await t.rejects(migratePostgres({ url, log: quiet, lockSeconds: 1 }), {
    code: 'CONFIGURATION_INVALID',
    message: /held by process \d+ \(stuck migration/,
  })
})

t.test('a database ahead of the code is used or refused as it says itself', { skip }, async (t) => {
  if (server === undefined) return
  const url = await testPostgresUrl(t, server)
  const client = await connected(t, url)
  await client.query("insert into kysely_migration values ('9001-future', now()::text)")
  await t.rejects(migratePostgres({ url, log: quiet }), {
    code: 'CONFIGURATION_INVALID',
    message: /needs code that knows at least 9001/,
  })
  await client.query("insert into service_meta values ('min_code_version', '1')")
  t.same(await migratePostgres({ url, log: quiet }), { applied: [] })
})
