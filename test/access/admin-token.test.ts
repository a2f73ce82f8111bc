import { chmod, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createTokenFile, ensureAdminToken, resetAdminToken } from '../../src/access/admin-token.ts'
import { findGrants } from '../../src/access/grant-store.ts'
import { findTokenByHash } from '../../src/access/store.ts'
import { hashToken, newToken } from '../../src/access/token.ts'
import type { Db } from '../../src/db/schema.ts'
import { testDatabase } from '../support/database.ts'

async function worksIn(db: Db, token: string): Promise<boolean> {
  const found = await findTokenByHash(db, hashToken(token))
  if (found === undefined || found.revokedAt !== undefined) return false
  return (await findGrants(db, found.id)).some((grant) => grant.scope.kind === 'everything')
}

const read = async (file: string): Promise<string> => (await readFile(file, 'utf8')).trim()

t.test('an embedded service makes its first admin token, for its owner only, once', async (t) => {
  const { db } = await testDatabase(t)
  const file = join(t.testdir(), 'admin.token')
  t.match(await ensureAdminToken(db, { file, create: true }), { outcome: 'made' })
  t.equal((await stat(file)).mode & 0o777, 0o600)
  const token = await read(file)
  t.ok(await worksIn(db, token))
  t.match(await ensureAdminToken(db, { file, create: true }), { outcome: 'kept' })
  t.equal(await read(file), token)
})

t.test('a start that died after writing the file goes on with that token', async (t) => {
  const { db } = await testDatabase(t)
  const file = join(t.testdir(), 'admin.token')
  await createTokenFile(file)
  await ensureAdminToken(db, { file, create: true })
  t.ok(await worksIn(db, await read(file)))
})

t.test(
  'with Postgres the file is needed, and must hold one token that only its owner reads',
  async (t) => {
    const { db } = await testDatabase(t)
    const folder = t.testdir()
    const file = join(folder, 'token')
    const ensure = () => ensureAdminToken(db, { file, create: false })
    await t.rejects(ensure(), {
      code: 'CONFIGURATION_INVALID',
      next: `entente admin-token create --out ${file}`,
    })
    for (const text of ['', 'secret', `${newToken()} ${newToken()}`, newToken().slice(0, -1)]) {
      await writeFile(file, text, { mode: 0o600 })
      const refused = await ensure().catch((error: unknown) => error)
      t.match(refused, { code: 'CONFIGURATION_INVALID', message: /does not hold one token/ })
      if (text !== '') t.notMatch(String(refused), text)
    }
    await writeFile(file, newToken())
    await chmod(file, 0o644)
    await t.rejects(ensure(), { message: /mode 644/, next: `chmod 600 ${file}` })
    await chmod(file, 0o600)
    t.match(await ensure(), { outcome: 'made' })
  },
)

t.test('whoever changes the file later does not become an administrator by it', async (t) => {
  const { db } = await testDatabase(t)
  const file = join(t.testdir(), 'admin.token')
  await ensureAdminToken(db, { file, create: true })
  const planted = newToken()
  await writeFile(file, planted)
  t.match(await ensureAdminToken(db, { file, create: true }), { outcome: 'unknown' })
  t.notOk(await worksIn(db, planted))
})

t.test('of replicas that start at once with different tokens one is taken', async (t) => {
  const { db } = await testDatabase(t)
  const folder = t.testdir()
  const files = ['a', 'b', 'c'].map((name) => join(folder, name))
  await Promise.all(files.map((file) => createTokenFile(file)))
  const states = await Promise.all(
    files.map((file) => ensureAdminToken(db, { file, create: false })),
  )
  t.same(states.map((state) => state.outcome).toSorted(), ['made', 'unknown', 'unknown'])
  const work = await Promise.all(files.map(async (file) => worksIn(db, await read(file))))
  t.equal(work.filter(Boolean).length, 1)
})

t.test('a reset makes a new token, ends the earlier ones and is recorded', async (t) => {
  const { db } = await testDatabase(t)
  const file = join(t.testdir(), 'admin.token')
  await ensureAdminToken(db, { file, create: true })
  const old = await read(file)
  t.match(await resetAdminToken(db, file), { file, revoked: 1 })
  const fresh = await read(file)
  t.notOk(await worksIn(db, old))
  t.ok(await worksIn(db, fresh))
  t.equal((await stat(file)).mode & 0o777, 0o600)
  const records = await db.selectFrom('audit_record').select(['actor', 'action']).execute()
  t.match(
    records.map(({ actor, action }) => `${actor} ${action}`),
    [
      'service:start api-token.create',
      'operator:admin-token-reset api-token.delete',
      'operator:admin-token-reset api-token.create',
    ],
  )
})

t.test('a reset before the first start leaves no second token to be made', async (t) => {
  const { db } = await testDatabase(t)
  const folder = t.testdir()
  await resetAdminToken(db, join(folder, 'admin.token'))
  await createTokenFile(join(folder, 'other'))
  const state = await ensureAdminToken(db, { file: join(folder, 'other'), create: false })
  t.equal(state.outcome, 'unknown')
})

t.test(
  'a reset that cannot be stored leaves the old token and its file as they were',
  async (t) => {
    const { db } = await testDatabase(t)
    const folder = t.testdir()
    const file = join(folder, 'admin.token')
    await ensureAdminToken(db, { file, create: true })
    const old = await read(file)
    await db.schema.alterTable('audit_record').renameTo('gone').execute()
    await t.rejects(resetAdminToken(db, file))
    t.equal(await read(file), old)
    t.ok(await worksIn(db, old))
    t.same(await readdir(folder), ['admin.token'])
  },
)
