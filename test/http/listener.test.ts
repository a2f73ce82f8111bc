import { Type } from 'typebox'
import t from 'tap'
import { ServiceError } from '../../src/errors.ts'
import { createApp } from '../../src/http/listener.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'

function testApp() {
  const lines: string[] = []
  const log = createLogger({ level: 'info' }, { write: (line) => void lines.push(line) })
  const app = createApp({ name: 'admin', log, metrics: createMetrics() })
  app.post(
    '/things/:count',
    {
      schema: {
        params: Type.Object({ count: Type.Integer() }),
        body: Type.Object(
          { name: Type.String(), size: Type.Optional(Type.Integer()) },
          { additionalProperties: false },
        ),
      },
    },
    async (request) => ({ count: request.params.count, name: request.body.name }),
  )
  app.get('/bug', async () => {
    throw new Error('secret detail')
  })
  app.get('/busy', async () => {
    throw new ServiceError('RATE_LIMITED', 'too many', { retryAfterSeconds: 7, next: 'wait' })
  })
  return { app, lines, log }
}

t.test('path values become numbers, body values are never coerced', async (t) => {
  const { app } = testApp()
  const good = await app.inject({ method: 'POST', url: '/things/3', payload: { name: 'a' } })
  t.same(good.json(), { count: 3, name: 'a' })
  const coerced = await app.inject({ method: 'POST', url: '/things/3', payload: { name: 5 } })
  t.equal(coerced.statusCode, 400)
  t.equal(coerced.headers['content-type'], 'application/problem+json')
  t.match(coerced.json(), { code: 'INVALID_REQUEST', errors: [{ in: 'body', pointer: '/name' }] })
})

t.test('unknown fields are refused with their pointer and oversize bodies with 413', async (t) => {
  const { app } = testApp()
  const unknown = await app.inject({
    method: 'POST',
    url: '/things/3',
    payload: { name: 'a', 'x/y': 1 },
  })
  t.match(unknown.json(), { errors: [{ pointer: '/x~1y', detail: /is not known; .docs/ }] })
  const large = await app.inject({
    method: 'POST',
    url: '/things/3',
    payload: { name: 'a'.repeat(300_000) },
  })
  t.equal(large.statusCode, 413)
  const notJson = await app.inject({
    method: 'POST',
    url: '/things/3',
    headers: { 'content-type': 'application/json' },
    payload: '{"name":',
  })
  t.equal(notJson.statusCode, 400)
})

t.test('a NUL, or half of a character, is refused wherever it stands', async (t) => {
  const { app } = testApp()
  app.get('/named/:name', { schema: { params: Type.Object({ name: Type.String() }) } }, () => 'ok')
  const refused = { code: 'INVALID_REQUEST', detail: /NUL/ }
  t.match((await app.inject('/named/a%00b')).json(), refused)
  t.match((await app.inject('/named/a?q=%00')).json(), refused)
  const body = { method: 'POST', url: '/things/3', payload: { name: 'a\0' } } as const
  t.match((await app.inject(body)).json(), refused)
  const half = {
    payload: String.raw`{"name":"a\ud800"}`,
    headers: { 'content-type': 'application/json' },
  }
  t.match((await app.inject({ ...body, ...half })).json(), { ...refused, detail: /half/ })
  const escaped = { ...body, payload: { name: String.raw`a\u0000` } }
  t.equal((await app.inject(escaped)).statusCode, 200, 'six characters that only look like one')
})

t.test('a bug answers 500 without its detail, which only the log has', async (t) => {
  const { app, lines } = testApp()
  const answer = await app.inject('/bug')
  t.equal(answer.statusCode, 500)
  t.notMatch(answer.body, /secret detail/)
  t.match(lines.join(''), /secret detail/)
})

t.test('a refusal says when to try again and what to do next', async (t) => {
  const { app } = testApp()
  const answer = await app.inject('/busy')
  t.equal(answer.statusCode, 429)
  t.equal(answer.headers['retry-after'], '7')
  t.match(answer.json(), { next: 'wait', code: 'RATE_LIMITED' })
  const missing = await app.inject('/nowhere')
  t.equal(missing.statusCode, 404)
  t.equal(missing.json<{ code: string }>().code, 'NOT_FOUND')
})

t.test('a field that is not on the list of logged fields is withheld', async (t) => {
  const { log, lines } = testApp()
  log.info({ event: 'x', privateKey: 'MIGH', token: 'abc', sequence: 5n }, 'said')
  t.match(lines[0], /"privateKey":"\[withheld\]","token":"\[withheld\]","sequence":"5"/)
  t.notMatch(lines[0], /MIGH|abc/)
})
