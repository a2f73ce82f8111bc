import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { sql } from 'kysely'
import t from 'tap'
import type { AccessOptions } from '../../src/access/access-hook.ts'
import { addAccess } from '../../src/access/access-hook.ts'
import { newToken } from '../../src/access/token.ts'
import { systemClock } from '../../src/clock.ts'
import type { App } from '../../src/http/listener.ts'
import { createApp } from '../../src/http/listener.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { adminApp, sendRaw } from '../support/admin-app.ts'
import { testClock } from '../support/clock.ts'
import { assertNoSecrets } from '../support/secrets.ts'

t.test('a route without a row of the table stops the service at start', async (t) => {
  // Nothing is asked before the start is over, so there is no database here.
  const db = undefined as unknown as AccessOptions['db']
  const log = createLogger({ level: 'silent' })
  const options: AccessOptions = { db, clock: systemClock, log }
  const start = async (mount: (v1: App) => void): Promise<void> => {
    const app = createApp({ name: 'admin', log, metrics: createMetrics() })
    t.teardown(() => app.close())
    app.register(async (v1: App) => {
      addAccess(v1, options)
      mount(v1)
    })
    await app.ready()
  }
  await t.rejects(
    start((v1) => v1.get('/meshes', () => 'x')),
    { message: /route GET \/meshes names no action/ },
  )
  await t.rejects(
    start((v1) => v1.get('/rules', { config: { action: 'rule.list' } }, () => 'x')),
    { message: /rule\.list of one mesh and has no :meshId/ },
  )
  const unknown = { config: { action: 'constructor' } } as unknown as { config: object }
  await t.rejects(
    start((v1) => v1.get('/meshes', unknown, () => 'x')),
    { message: /names no action/ },
  )
  await start((v1) => v1.get('/meshes/:meshId/rules', { config: { action: 'rule.list' } }, () => 1))
})

t.test(
  'only a bearer token of ours opens a route, and its absence says what is wanted',
  async (t) => {
    const { port, token, lines } = await adminApp(t)
    const ask = (...headers: string[]) =>
      sendRaw({ port }, ['GET /v1/whoami HTTP/1.1', 'host: localhost', ...headers])
    t.equal((await ask(`authorization: Bearer ${token}`)).status, 200)
    t.equal((await ask(`authorization: bearer ${token}`)).status, 200, 'schemes have no case')
    const other = newToken()
    const basic = Buffer.from(`admin:${token}`).toString('base64')
    const refused: readonly (readonly [RegExp, ...string[]])[] = [
      [/needs a token/],
      [/another scheme/, `authorization: Basic ${basic}`],
      [/another scheme/, `authorization: Token ${token}`],
      [/another scheme/, `authorization: ${token}`],
      [/another scheme/, `authorization: Bearer ${token} ${token}`],
      [/another scheme/, `authorization: Bearer ${token},Bearer ${token}`],
      [/another scheme/, 'authorization: Bearer'],
      [/cut or mistyped/, `authorization: Bearer ${token.slice(0, -1)}`],
      [/cut or mistyped/, 'authorization: Bearer null'],
      [/does not know/, `authorization: Bearer ${other}`],
      [/more than one/, `authorization: Bearer ${token}`, `authorization: Bearer ${other}`],
      [/more than one/, `authorization: Bearer ${token}`, `authorization: Bearer ${token}`],
      [/needs a token/, `cookie: token=${token}`],
      [/needs a token/, `x-api-key: ${token}`],
    ]
    for (const [reason, ...headers] of refused) {
      const { status, text } = await ask(...headers)
      t.equal(status, 401, headers.join())
      t.match(text, reason)
      t.match(text, /www-authenticate: Bearer/i)
      t.match(text, /"code":"AUTHENTICATION_REQUIRED"/)
      assertNoSecrets(t, text, [token, other])
    }
    const inQuery = await sendRaw({ port }, [
      `GET /v1/whoami?token=${token}&access_token=${token} HTTP/1.1`,
      'host: localhost',
    ])
    t.equal(inQuery.status, 401, 'a token in the URL is none')
    assertNoSecrets(t, lines.join(''), [token, other, basic])
  },
)

t.test('a token that ended or was revoked opens nothing from that moment on', async (t) => {
  const clock = testClock(new Date())
  const { call } = await adminApp(t, { clock })
  const make = async (label: string) =>
    (await call('POST', '/v1/api-tokens', { body: { label, ttlSeconds: 3600 } })).body
  const revoked = await make('revoked')
  const expiring = await make('expiring')
  for (const { token } of [revoked, expiring]) {
    t.equal((await call('GET', '/v1/whoami', { token })).status, 200)
  }
  t.equal((await call('DELETE', `/v1/api-tokens/${revoked.id}`)).status, 200)
  const gone = await call('GET', '/v1/whoami', { token: revoked.token })
  t.match(gone, { status: 401, body: { detail: 'the token was revoked' } })
  await clock.advance(2 * 3600_000)
  const ended = await call('GET', '/v1/whoami', { token: expiring.token })
  t.match(ended, { status: 401, body: { detail: 'the token has expired' } })
})

t.test('a request whose token was revoked while its body came is not done', async (t) => {
  const { call, port } = await adminApp(t)
  const made = await call('POST', '/v1/api-tokens', { body: { label: 'slow' } })
  const body = JSON.stringify({ label: 'late' })
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  const head = [
    'POST /v1/api-tokens HTTP/1.1',
    'host: localhost',
    `authorization: Bearer ${made.body.token}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    'expect: 100-continue',
    'connection: close',
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  await once(socket, 'data')
  // The request was let in before its head was answered, or is let in now.
  await call('GET', '/v1/whoami', { token: made.body.token })
  t.equal((await call('DELETE', `/v1/api-tokens/${made.body.id}`)).status, 200)
  socket.write(body)
  t.match(await text(socket), /^HTTP\/1\.1 401 /)
  const { items } = (await call('GET', '/v1/api-tokens')).body
  t.notOk(items.some(({ label }: { label: string }) => label === 'late'))
})

t.test('a token for one mesh reaches that mesh and nothing of the service', async (t) => {
  const { call, database } = await adminApp(t, {
    mount: (v1) => {
      v1.get('/meshes/:meshId/rules', { config: { action: 'rule.list' } }, () => [])
    },
  })
  const now = new Date()
  for (const mesh of ['acme', 'globex']) {
    await database.db
      .insertInto('mesh')
      .values({
        mesh_id: mesh as never,
        display_name: mesh,
        dns_suffix: 'mesh.internal',
        environment: null,
        settings: '{}',
        created_at: now,
      })
      .execute()
  }
  const made = await call('POST', '/v1/api-tokens', { body: { label: 'acme-ci', meshId: 'acme' } })
  t.equal(made.status, 201)
  const { token } = made.body
  t.equal((await call('GET', '/v1/meshes/acme/rules', { token })).status, 200)
  const other = await call('GET', '/v1/meshes/globex/rules', { token })
  t.equal(other.status, 403)
  t.match(
    other.body.detail,
    /^rule.list needs platform-admin or mesh-admin or developer or auditor on mesh globex; token:acme-ci:[0-9a-f]{8} has mesh-admin on mesh acme$/,
  )
  const [{ id: admin }] = (await call('GET', '/v1/api-tokens')).body.items.filter(
    (item: { label: string }) => item.label === 'admin',
  )
  for (const [method, path, status] of [
    ['POST', '/v1/api-tokens', 403],
    ['GET', `/v1/api-tokens/${admin}`, 404],
    ['DELETE', `/v1/api-tokens/${admin}`, 404],
  ] as const) {
    const body = method === 'POST' ? { label: 'more' } : undefined
    t.equal((await call(method, path, { token, body })).status, status, `${method} ${path}`)
  }
  const me = await call('GET', '/v1/whoami', { token })
  t.match(me.body.grants, [{ role: 'mesh-admin', meshId: 'acme' }])
  t.ok(me.body.actions.includes('rule.list'))
  t.ok(me.body.actions.includes('api-token.create'))
  t.notOk(me.body.actions.includes('mesh.create'))
})

t.test('who keeps failing must wait, and nobody else is locked out', async (t) => {
  const clock = testClock(new Date())
  const { call, lines } = await adminApp(t, { clock })
  t.equal((await call('GET', '/v1/whoami')).status, 200)
  const fresh = (await call('POST', '/v1/api-tokens', { body: { label: 'fresh' } })).body.token
  for (let i = 0; i < 20; i += 1) {
    t.equal((await call('GET', '/v1/whoami', { token: newToken() })).status, 401)
  }
  const throttled = await call('GET', '/v1/whoami', { token: newToken() })
  t.match(throttled, { status: 429, body: { code: 'RATE_LIMITED' } })
  t.ok(Number(throttled.headers.get('retry-after')) <= 60)
  t.equal((await call('GET', '/v1/whoami')).status, 200, 'a token that worked before still does')
  t.equal((await call('GET', '/v1/whoami', { token: fresh })).status, 429, 'a new one waits')
  t.equal(lines.filter((line) => line.includes('login.throttled')).length, 1)
  await clock.advance(60_000)
  t.equal((await call('GET', '/v1/whoami', { token: fresh })).status, 200)
})

t.test('a token that asks too often must wait, and the others do not', async (t) => {
  const clock = testClock(new Date())
  const { call, database } = await adminApp(t, { clock, callsPerSecond: 2 })
  const busy = (await call('POST', '/v1/api-tokens', { body: { label: 'busy' } })).body.token
  for (let i = 0; i < 10; i += 1) {
    t.equal((await call('GET', '/v1/whoami', { token: busy })).status, 200)
    const body = { label: `made-${i}` }
    const made = await call('POST', '/v1/api-tokens', { token: busy, body })
    t.equal(made.status, 201, 'one with a body counts once')
  }
  const limited = await call('GET', '/v1/whoami', { token: busy })
  t.match(limited, {
    status: 429,
    body: {
      code: 'RATE_LIMITED',
      detail: 'too many calls with this token: more than 2 a second and 20 at once',
      next: /Retry-After.*ENTENTE_ADMIN_CALLS_PER_SECOND/,
    },
  })
  t.equal(limited.headers.get('retry-after'), '1')
  for (let i = 0; i < 5; i += 1) {
    t.equal((await call('GET', '/v1/whoami')).status, 200, 'another token is as free as before')
  }
  await clock.advance(1000)
  t.equal((await call('GET', '/v1/whoami', { token: busy })).status, 200)
  t.equal((await call('GET', '/v1/whoami', { token: busy })).status, 200)
  await sql`alter table api_token rename to away`.execute(database.db)
  t.equal((await call('GET', '/v1/whoami')).status, 500)
  const refused = await call('GET', '/v1/whoami', { token: busy })
  t.equal(refused.status, 429, 'it is refused before the database is asked')
})

t.test('a path that does not exist is 404 and says nothing more', async (t) => {
  const { call } = await adminApp(t)
  t.equal((await call('GET', '/v1/none')).status, 404)
  t.equal((await call('PUT', '/v1/whoami', { body: {} })).status, 404)
})
