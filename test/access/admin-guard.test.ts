import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type GuardedRequest, assertAdminRequest } from '../../src/access/admin-guard.ts'
import { listenOnSocket } from '../../src/http/local-socket.ts'
import { adminApp, sendRaw } from '../support/admin-app.ts'

const HOSTS = new Set(['localhost', '127.0.0.1', '[::1]', 'entente.acme.example', 'one:8443'])

type Headers = Record<string, string>

function judge(headers: Headers, method = 'GET'): string {
  const rawHeaders = Object.entries(headers).flat()
  const request: GuardedRequest = { method, headers, rawHeaders }
  try {
    assertAdminRequest(request, HOSTS)
    return 'passes'
  } catch (error) {
    return String((error as { code: unknown }).code)
  }
}

t.test('only an expected Host is answered', async (t) => {
  const expected = [
    'localhost',
    'localhost:8080',
    'LocalHost:1',
    '127.0.0.1:8080',
    '[::1]:8080',
    '[::1]',
    'entente.acme.example',
    'ENTENTE.acme.example:443',
    'one:8443',
  ]
  for (const host of expected) t.equal(judge({ host }), 'passes', host)
  const foreign = [
    'evil.example',
    'evil.example:8080',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    'localhost.',
    '127.0.0.2',
    '127.1',
    '2130706433',
    '0x7f.1',
    '[::ffff:127.0.0.1]',
    '[::1',
    '::1',
    'one',
    'one:8444',
    'localhost:8080@evil.example',
    'user@localhost',
    'localhost:',
    'localhost:port',
    'localhost, evil.example',
    'localhost/',
    '',
  ]
  for (const host of foreign) t.equal(judge({ host }), 'MISDIRECTED_HOST', JSON.stringify(host))
  t.equal(judge({}), 'MISDIRECTED_HOST', 'no Host at all')
})

t.test('a foreign Origin is refused, whatever the method', async (t) => {
  const host = 'localhost:8080'
  for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
    for (const origin of [
      'null',
      'https://evil.example',
      'http://localhost',
      'http://localhost:8081',
      'http://127.0.0.1:8080',
      'http://localhost:8080.evil.example',
      'file://',
      'chrome-extension://abcdef',
      '',
    ]) {
      t.equal(judge({ host, origin }, method), 'ORIGIN_REFUSED', `${method} ${origin}`)
    }
    t.equal(judge({ host, origin: 'http://localhost:8080' }, method), 'passes')
    t.equal(judge({ host, origin: 'https://localhost:8080' }, method), 'passes')
  }
})

t.test('a fetch that a browser marks as from another site is refused', async (t) => {
  const host = 'localhost:8080'
  for (const site of ['cross-site', 'same-site', 'anything']) {
    const marked = { host, 'sec-fetch-site': site }
    t.equal(judge(marked), 'ORIGIN_REFUSED', site)
    t.equal(judge({ ...marked, 'sec-fetch-mode': 'no-cors' }), 'ORIGIN_REFUSED')
    const link = { ...marked, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
    t.equal(judge(link), 'passes', 'following a link')
    t.equal(judge(link, 'POST'), 'ORIGIN_REFUSED', 'a form is no link')
    const frame = { ...link, 'sec-fetch-dest': 'iframe' }
    t.equal(judge(frame), 'ORIGIN_REFUSED', 'nor is a frame')
  }
  t.equal(judge({ host, 'sec-fetch-site': 'none' }), 'passes')
  t.equal(judge({ host, 'sec-fetch-site': 'same-origin' }), 'passes')
})

t.test('a mutation is taken as application/json only', async (t) => {
  const host = 'localhost'
  const json = ['application/json', 'application/json; charset=utf-8', 'Application/JSON']
  const simple = [
    'text/plain',
    'text/plain; charset=utf-8',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonx',
    'application/json, text/plain',
    'application/merge-patch+json',
    '',
  ]
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    for (const type of json) t.equal(judge({ host, 'content-type': type }, method), 'passes', type)
    for (const type of simple) {
      t.equal(judge({ host, 'content-type': type }, method), 'MEDIA_TYPE_UNSUPPORTED', type)
    }
    t.equal(judge({ host, 'content-length': '2' }, method), 'MEDIA_TYPE_UNSUPPORTED')
    t.equal(judge({ host, 'transfer-encoding': 'chunked' }, method), 'MEDIA_TYPE_UNSUPPORTED')
    t.equal(judge({ host }, method), 'passes', 'no body, no type')
    t.equal(judge({ host, 'content-length': '0' }, method), 'passes')
  }
})

t.test('over a real connection: rebinding, doubled and missing Host', async (t) => {
  const { port, token } = await adminApp(t)
  const ask = (...headers: string[]) =>
    sendRaw({ port }, ['GET /v1/whoami HTTP/1.1', `authorization: Bearer ${token}`, ...headers])
  t.equal((await ask('host: localhost')).status, 200)
  const rebound = await ask('host: rebind.evil.example')
  t.equal(rebound.status, 421)
  t.match(rebound.text, /"code":"MISDIRECTED_HOST"/)
  t.match(rebound.text, /ENTENTE_ADMIN_HOSTS/)
  t.match((await ask('host: localhost', 'host: evil.example')).status, /400|421/)
  t.equal((await ask()).status, 400, 'HTTP/1.1 demands a Host')
  const old = await sendRaw({ port }, ['GET /v1/whoami HTTP/1.0', `authorization: Bearer ${token}`])
  t.equal(old.status, 421, 'HTTP/1.0 does not')
})

t.test('no answer, not even to a preflight, carries a cookie or CORS header', async (t) => {
  const { call } = await adminApp(t)
  const preflight = {
    origin: 'https://evil.example',
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization, content-type',
  }
  const answers = [
    await call('OPTIONS', '/v1/api-tokens', { token: undefined, headers: preflight }),
    await call('GET', '/v1/whoami'),
    await call('GET', '/v1/whoami', { headers: { origin: 'null' } }),
    await call('GET', '/v1/none', { token: undefined }),
  ]
  t.same(
    answers.map((answer) => answer.status),
    [403, 200, 403, 404],
  )
  for (const answer of answers) {
    const names = [...answer.headers.keys()]
    t.same(
      names.filter((name) => name === 'set-cookie' || name.startsWith('access-control-')),
      [],
    )
  }
})

t.test('names of ENTENTE_ADMIN_HOSTS are answered too', async (t) => {
  const { port, token } = await adminApp(t, { hosts: ['Entente.ACME.example'] })
  const { status } = await sendRaw({ port }, [
    'GET /v1/whoami HTTP/1.1',
    'host: entente.acme.example',
    `authorization: Bearer ${token}`,
  ])
  t.equal(status, 200)
})

t.test('the socket on the same machine is guarded alike and takes the same token', async (t) => {
  const { app, token } = await adminApp(t)
  const folder = mkdtempSync(join(tmpdir(), 'entente-guard-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const socket = await listenOnSocket(app, join(folder, 'admin.sock'))
  t.teardown(() => socket?.close())
  t.equal(statSync(join(folder, 'admin.sock')).mode & 0o777, 0o600)
  const ask = async (...headers: string[]) => {
    const lines = ['GET /v1/whoami HTTP/1.1', ...headers]
    return (await sendRaw({ path: join(folder, 'admin.sock') }, lines)).status
  }
  const authorization = `authorization: Bearer ${token}`
  t.equal(await ask('host: localhost', authorization), 200)
  t.equal(await ask('host: localhost'), 401)
  t.equal(await ask('host: evil.example', authorization), 421)
  t.equal(await ask('host: localhost', 'origin: https://evil.example', authorization), 403)
})
