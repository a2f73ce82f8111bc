import { writeFileSync } from 'node:fs'
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseMeshId } from '../../src/db/ids.ts'
import { auditRoutes } from '../../src/audit/routes.ts'
import { type AdminApp, adminApp } from '../support/admin-app.ts'
import { newAuditKey, testSealer } from '../support/audit.ts'
import { type Ran, dataFolder, ran, smallServer } from '../support/small-server.ts'

interface Command {
  readonly admin: AdminApp
  readonly folder: string
  readonly seal: () => Promise<void>
  readonly run: (...argv: string[]) => Promise<Ran>
}

async function commands(t: Test): Promise<Command> {
  const key = newAuditKey()
  const admin = await adminApp(t, {
    mount: (v1, db) => void v1.register(auditRoutes, { db, key, meshesOf: () => undefined }),
  })
  const sealer = testSealer(admin.database, { key })
  const folder = dataFolder(t)
  writeFileSync(join(folder, 'admin.token'), admin.token)
  const env = {
    ENTENTE_ADDR: `http://127.0.0.1:${admin.port}`,
    ENTENTE_TOKEN_FILE: join(folder, 'admin.token'),
  }
  return { admin, folder, seal: () => sealer.seal(), run: (...argv) => ran(argv, env) }
}

async function insertMesh(admin: AdminApp): Promise<void> {
  await admin.database.db
    .insertInto('mesh')
    .values({
      mesh_id: parseMeshId('acme'),
      display_name: 'acme',
      dns_suffix: 'mesh.internal',
      environment: null,
      settings: '{}',
      created_at: new Date(),
    })
    .execute()
}

t.test('grants are given to a token, listed in words and taken away', async (t) => {
  const { admin, run } = await commands(t)
  await insertMesh(admin)
  const mesh = ['--mesh', 'acme']
  const made = await run(...mesh, 'api-token', 'create', 'shop', '--namespaces', 'shop,pay')
  t.match(made.out, /developer on namespaces pay, shop of mesh acme/)
  const { items } = (await admin.call('GET', '/v1/api-tokens')).body
  const { id } = items.find(({ label }: { label: string }) => label === 'shop')
  const given = await run(...mesh, 'grant', 'create', '--token', id, '--role', 'auditor')
  t.match(given.out, /auditor on mesh acme[^]*grant delete/)
  const everything = await run('grant', 'create', '--token', id, '--role', 'auditor')
  t.match(everything.out, /auditor on everything/)
  const listed = (await run('grant', 'list', '--token', id)).out
  for (const may of ['developer on namespaces pay, shop of mesh acme', 'auditor on mesh acme']) {
    t.match(listed, may)
  }
  const [, grant = ''] = /^id +(\S+)/.exec(everything.out) ?? []
  t.match(await run('grant', 'delete', grant), { code: 0, out: /auditor on everything/ })
  t.match(await run(...mesh, 'grant', 'create', '--token', id, '--role', 'king'), {
    code: 1,
    err: /role/,
  })
})

t.test('quotas are set one by one, listed, and shown beside what is used', async (t) => {
  const { admin, run } = await commands(t)
  await insertMesh(admin)
  const mesh = ['--mesh', 'acme']
  t.match(await run(...mesh, 'quota', 'set', 'services=9', 'rules=4'), { code: 0 })
  const kept = await run(...mesh, 'quota', 'set', 'rules=')
  t.match(kept.out, /services +9/)
  t.notMatch(kept.out, /rules/)
  t.match(await run(...mesh, 'quota', 'set', 'services=3', '--namespace', 'shop'), { code: 0 })
  t.match((await run(...mesh, 'quota', 'list')).out, /\(the mesh\) +services=9\nshop +services=3/)
  t.match((await run(...mesh, 'usage')).out, /services +0 +9\n[^]*endpoints +0 +no limit/)
  t.match((await run(...mesh, 'usage', '--namespace', 'shop')).out, /services +0 +3/)
  t.match(await run(...mesh, 'quota', 'set', 'services'), { code: 2, err: /services=100/ })
  t.match(await run(...mesh, 'quota', 'set', 'kings=1'), { code: 1, err: /kings/ })
})

t.test('quotas are kept as they were read, or the change is refused', async (t) => {
  const quota = { namespace: null, limits: { services: 9 }, version: 'abc' }
  const server = await smallServer(t, ({ method }) => ({
    json: method === 'GET' ? { items: [quota], nextCursor: null } : quota,
  }))
  const env = {
    ENTENTE_ADDR: server.address,
    ENTENTE_TOKEN_FILE: join(server.folder, 'admin.token'),
  }
  t.match(await ran(['--mesh', 'acme', 'quota', 'set', 'rules=4'], env), { code: 0 })
  const put = server.seen.find(({ method }) => method === 'PUT')
  t.match(put, { body: '{"services":9,"rules":4}', headers: { 'if-match': '"vabc"' } })
})

t.test('whoami shows whom the token stands for', async (t) => {
  const { run } = await commands(t)
  const { code, out } = await run('whoami')
  t.equal(code, 0)
  t.match(out, /name +token:admin:[0-9a-f]{8}/)
  t.match(out, /may +platform-admin on everything/)
  t.match(JSON.parse((await run('whoami', '--output', 'json')).out), { label: 'admin' })
})

t.test('a token is made, used, listed and revoked', async (t) => {
  const { run, folder, admin } = await commands(t)
  const made = await run('api-token', 'create', 'ci', '--days', '7', '--output', 'json')
  t.equal(made.code, 0, made.err)
  const { id, token } = JSON.parse(made.out)
  t.equal((await admin.call('GET', '/v1/whoami', { token })).body.label, 'ci')
  t.match((await run('api-token', 'list')).out, new RegExp(`${id} +ci .* platform-admin on every`))
  t.equal((await run('api-token', 'delete', id)).code, 0)
  t.notMatch((await run('api-token', 'list')).out, id)
  t.match(await run('api-token', 'delete', '00000000-0000-4000-8000-000000000000'), {
    code: 1,
    err: /there is no API token[^]*next:\n +entente api-token list/,
  })
  t.match(await run('api-token', 'create', 'ci', '--days', '0'), { code: 2 })

  const file = join(folder, 'ci.token')
  const kept = await run('api-token', 'create', 'ci2', '--out', file)
  t.equal(kept.code, 0, kept.err)
  t.equal((await stat(file)).mode & 0o777, 0o600)
  const secret = (await readFile(file, 'utf8')).trim()
  t.notMatch(kept.out, secret, 'a secret in a file is not printed')
  t.match(kept.out, `ENTENTE_TOKEN_FILE=${file} entente whoami`)
  t.equal((await admin.call('GET', '/v1/whoami', { token: secret })).status, 200)
  t.match(await run('api-token', 'create', 'ci3', '--out', file), { code: 2, err: /EEXIST/ })
  t.equal((await readFile(file, 'utf8')).trim(), secret)
  t.match(await run('api-token', 'create', 'NO', '--out', join(folder, 'no')), { code: 1 })
  t.notOk((await readdir(folder)).includes('no'), 'nothing is left of a refused one')
})

t.test('the log is listed, filtered and verified', async (t) => {
  const { run, seal, admin } = await commands(t)
  t.match((await run('audit', 'verify')).out, /no numbered record yet/)
  t.match((await run('audit', 'list')).out, /no records; a change shows here within a second/)
  for (const label of ['a', 'b', 'c']) await run('api-token', 'create', label)
  await seal()
  const rows = (await run('audit', 'list')).out.trimEnd().split('\n').slice(1)
  t.same(
    rows.map((row) => row.split(/ +/)[0]),
    ['4', '3', '2', '1'],
    'newest first',
  )
  const oldest = await run('audit', 'list', '--oldest', '--limit', '2', '--output', 'json')
  t.match(JSON.parse(oldest.out).items, [{ n: '1', actor: 'service:start' }, { n: '2' }])
  const one = await run('audit', 'list', '--actor', 'service:start', '--output', 'json')
  t.equal(JSON.parse(one.out).items.length, 1)
  t.match((await run('audit', 'list', '--action', 'rule.create')).out, /no records/)

  const verified = await run('audit', 'verify')
  t.equal(verified.code, 0)
  t.match(verified.out, /^4 records verified, 0 not yet numbered\n/)
  const head = /--head (\S+)/.exec(verified.out)?.[1] ?? ''
  t.match(await run('audit', 'verify', '--head', head), { code: 0 })
  t.match(await run('audit', 'verify', '--head', 'nonsense'), { code: 1, err: /head/ })

  const { db } = admin.database
  await db.updateTable('audit_record').set({ actor: 'nobody' }).where('n', '=', 2n).execute()
  const broken = await run('audit', 'verify')
  t.match(broken, { code: 1, err: /broken at record 2: .*column "actor" differs/ })
  const json = await run('audit', 'verify', '--output', 'json')
  t.match(JSON.parse(json.out), { ok: false, verified: '1', broken: { flaw: 'columns-changed' } })
})

t.test('a record can be had exactly as it is hashed, and pages go on by number', async (t) => {
  const { run, seal, admin } = await commands(t)
  for (const label of ['a', 'b', 'c']) await run('api-token', 'create', label)
  await seal()
  const first = await admin.call('GET', '/v1/audit?order=oldest&limit=3&bytes=true')
  t.equal(first.body.items.length, 3)
  const [record] = first.body.items
  t.same(JSON.parse(record.bytes).body, record.body)
  const next = await admin.call('GET', `/v1/audit?order=oldest&cursor=${first.body.nextCursor}`)
  t.match(next.body, { items: [{ n: '4' }], nextCursor: null })
  t.notOk('bytes' in next.body.items[0])
  t.equal((await admin.call('GET', '/v1/audit?cursor=x')).status, 400)
  t.equal((await admin.call('GET', '/v1/audit?mesh=globex')).body.items.length, 0)
})
