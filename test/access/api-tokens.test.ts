import t from 'tap'
import { endMeshGrants, pruneApiTokens } from '../../src/access/end-access.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { parseMeshId } from '../../src/db/ids.ts'
import { adminApp } from '../support/admin-app.ts'
import { assertNoSecrets } from '../support/secrets.ts'

t.test('a new token is shown once, stored as a hash, and recorded without it', async (t) => {
  const { call, database, lines } = await adminApp(t)
  const made = await call('POST', '/v1/api-tokens', { body: { label: 'deploy-bot' } })
  t.equal(made.status, 201)
  t.equal(made.headers.get('cache-control'), 'no-store')
  t.equal(made.headers.get('location'), `/v1/api-tokens/${made.body.id}`)
  const { token, ...rest } = made.body
  t.match(token, /^entente_[A-Za-z0-9_-]{49}$/)
  t.match(rest, { label: 'deploy-bot', revokedAt: null, grants: [{ role: 'platform-admin' }] })
  const days = (Date.parse(rest.expiresAt) - Date.parse(rest.createdAt)) / 86_400_000
  t.equal(days, 90, 'ninety days unless told otherwise')
  t.equal((await call('GET', '/v1/whoami', { token })).body.label, 'deploy-bot')

  const shown = await call('GET', `/v1/api-tokens/${rest.id}`)
  t.equal(shown.status, 200)
  assertNoSecrets(t, shown.text, [token])
  assertNoSecrets(t, (await call('GET', '/v1/api-tokens')).text, [token])
  assertNoSecrets(t, lines.join(''), [token])
  const rows = await database.db.selectFrom('api_token').selectAll().execute()
  const records = await database.db.selectFrom('audit_record').select(['body', 'object']).execute()
  const stored = JSON.stringify(rows) + records.map((row) => Buffer.from(row.body)).join('')
  assertNoSecrets(t, stored, [token])
  t.ok(records.some((row) => row.object === `api-token/deploy-bot:${rest.id.slice(0, 8)}`))
})

t.test('a dry run shows what would be made, without a secret, and makes nothing', async (t) => {
  const { call } = await adminApp(t)
  const dry = await call('POST', '/v1/api-tokens?dryRun=true', { body: { label: 'dry' } })
  t.equal(dry.status, 200)
  t.match(dry.body, { label: 'dry' })
  t.notOk('token' in dry.body)
  const labels = (await call('GET', '/v1/api-tokens')).body.items.map(
    (item: { label: string }) => item.label,
  )
  t.same(labels, ['admin'])
})

t.test('what is wanted of a token is checked', async (t) => {
  const { call } = await adminApp(t)
  const bad: readonly (readonly [object, number])[] = [
    [{}, 400],
    [{ label: 'UPPER' }, 400],
    [{ label: 'a b' }, 400],
    [{ label: '' }, 400],
    [{ label: 'x', ttlSeconds: 59 }, 400],
    [{ label: 'x', ttlSeconds: '3600' }, 400],
    [{ label: 'x', ttlSeconds: 367 * 86_400 }, 400],
    [{ label: 'x', role: 'developer' }, 400],
    [{ label: 'x', namespaces: ['shop'] }, 400],
    [{ label: 'x', extra: 1 }, 400],
    [{ label: 'x', meshId: 'nowhere' }, 404],
    [{ label: 'admin' }, 400],
  ]
  for (const [body, status] of bad) {
    t.equal((await call('POST', '/v1/api-tokens', { body })).status, status, JSON.stringify(body))
  }
  t.equal((await call('GET', '/v1/api-tokens/nonsense')).status, 400)
  const none = await call('GET', '/v1/api-tokens/00000000-0000-4000-8000-000000000000')
  t.match(none, { status: 404, body: { next: 'entente api-token list' } })
})

t.test('tokens are listed page by page', async (t) => {
  const { call } = await adminApp(t)
  for (const label of ['a', 'b', 'c']) await call('POST', '/v1/api-tokens', { body: { label } })
  const labels: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const query: string = cursor === '' ? '' : `&cursor=${cursor}`
    const { body } = await call('GET', `/v1/api-tokens?limit=3${query}`)
    labels.push(...body.items.map((item: { label: string }) => item.label))
    cursor = body.nextCursor
  }
  t.same(labels.toSorted(), ['a', 'admin', 'b', 'c'])
})

t.test('a token is revoked once, and the last that may do everything stays', async (t) => {
  const { call, database } = await adminApp(t)
  const { body: me } = await call('GET', '/v1/whoami')
  const last = await call('DELETE', `/v1/api-tokens/${me.tokenId}`)
  t.match(last, { status: 409, body: { code: 'CONFLICT', next: /api-token create/ } })

  const { body: other } = await call('POST', '/v1/api-tokens', { body: { label: 'other' } })
  const dry = await call('DELETE', `/v1/api-tokens/${other.id}?dryRun=true`)
  t.equal(dry.status, 200)
  t.ok(dry.body.revokedAt)
  t.equal((await call('GET', '/v1/whoami', { token: other.token })).status, 200, 'a dry run')
  for (const again of [1, 2]) {
    const gone = await call('DELETE', `/v1/api-tokens/${other.id}`)
    t.match(gone, { status: 200, body: { revokedAt: /Z$/ } }, `time ${again}`)
  }
  const revocations = await database.db
    .selectFrom('audit_record')
    .select('object')
    .where('action', '=', 'api-token.delete')
    .execute()
  t.equal(revocations.length, 1, 'recorded once')
})

t.test('two administrators who revoke each other at once do not both succeed', async (t) => {
  const { call } = await adminApp(t)
  const { body: me } = await call('GET', '/v1/whoami')
  const { body: other } = await call('POST', '/v1/api-tokens', { body: { label: 'other' } })
  const answers = await Promise.all([
    call('DELETE', `/v1/api-tokens/${other.id}`),
    call('DELETE', `/v1/api-tokens/${me.tokenId}`, { token: other.token }),
  ])
  const statuses = answers.map((answer) => answer.status).toSorted((a, b) => a - b)
  t.equal(statuses[0], 200)
  // Whichever it meets first: the last administrator stays, its token is gone, or its grants are.
  t.ok([401, 403, 409].includes(statuses[1] ?? 0), `the other got ${statuses[1]}`)
})

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000)

t.test('tokens that ended more than 90 days ago are forgotten with their grants', async (t) => {
  const { call, database } = await adminApp(t)
  const { db } = database
  const { body: one } = await call('POST', '/v1/api-tokens', { body: { label: 'one' } })
  const { body: two } = await call('POST', '/v1/api-tokens', { body: { label: 'two' } })
  await call('DELETE', `/v1/api-tokens/${one.id}`)
  t.equal(await pruneApiTokens(db, inDays(89)), 0)
  t.equal(await pruneApiTokens(db, inDays(91)), 1)
  t.equal((await call('GET', `/v1/api-tokens/${one.id}`)).status, 404)
  t.equal(await pruneApiTokens(db, inDays(90 + 91)), 1)
  const grants = await db.selectFrom('grants').select('principal').execute()
  t.notOk(grants.some((grant) => grant.principal === two.id))
  t.equal((await call('GET', '/v1/whoami')).status, 200, 'a token without an end stays')
})

t.test('a mesh that is made again under the same name gives old tokens nothing', async (t) => {
  const { call, database } = await adminApp(t)
  const { db } = database
  const meshId = parseMeshId('acme')
  const row = { mesh_id: meshId, display_name: 'acme', dns_suffix: 'mesh.internal' }
  const created_at = new Date()
  await db
    .insertInto('mesh')
    .values({ ...row, environment: null, settings: '{}', created_at })
    .execute()
  const made = await call('POST', '/v1/api-tokens', { body: { label: 'ci', meshId: 'acme' } })
  const { token } = made.body
  t.same((await call('GET', '/v1/whoami', { token })).body.grants.length, 1)
  await inTransaction(db, (trx) => endMeshGrants(trx, meshId, { actor: 'a', now: created_at }))
  const after = (await call('GET', '/v1/whoami', { token })).body
  t.same(after.grants, [])
  t.same(after.actions, ['mesh.list', 'whoami.read'])
  const records = await db
    .selectFrom('audit_record')
    .select(['mesh_id', 'object'])
    .where('action', '=', 'grant.delete')
    .execute()
  t.same(records, [{ mesh_id: 'acme', object: 'mesh/acme' }])
})

t.test('a token made with a token ends no later than that', async (t) => {
  const { call } = await adminApp(t)
  const short = await call('POST', '/v1/api-tokens', { body: { label: 'short', ttlSeconds: 600 } })
  const { token } = short.body
  const long = { label: 'long', ttlSeconds: 86_400 }
  const made = await call('POST', '/v1/api-tokens', { token, body: long })
  t.equal(made.status, 201)
  t.equal(made.body.expiresAt, short.body.expiresAt)
})
