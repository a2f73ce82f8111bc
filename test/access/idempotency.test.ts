import t from 'tap'
import { Type } from 'typebox'
import {
  ANSWER_KEPT_SECONDS,
  CRASHED_AFTER_SECONDS,
  pruneIdempotencyKeys,
} from '../../src/access/idempotency.ts'
import { ownerScopeOf } from '../../src/access/owner-scope.ts'
import { ServiceError } from '../../src/errors.ts'
import { DryRunQuery } from '../../src/http/dry-run.ts'
import type { App } from '../../src/http/listener.ts'
import { adminApp, type AdminApp, type AdminAppOptions } from '../support/admin-app.ts'
import { testClock } from '../support/clock.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'
import { untilTrue } from '../support/until.ts'

const START = new Date('2026-05-01T10:00:00Z')

interface Work {
  /** How often the handler ran. */
  runs: number
  /** Holds the handler until it resolves. */
  gate: Promise<void>
  fail: ServiceError | undefined
}

/** A route that counts, waits and fails as told, and answers with a resource. */
function workRoute(work: Work) {
  return async (app: App): Promise<void> => {
    app.post(
      '/jobs/:name',
      {
        config: { action: 'mesh.create' },
        schema: {
          params: Type.Object({ name: Type.String() }),
          body: Type.Object({ n: Type.Integer() }, { additionalProperties: false }),
          querystring: DryRunQuery,
        },
      },
      async (request, reply) => {
        work.runs += 1
        await work.gate
        if (work.fail !== undefined) throw work.fail
        reply.header('location', `/v1/jobs/${request.params.name}`).header('etag', '"v1"')
        return reply.code(201).send({ run: work.runs, n: request.body.n })
      },
    )
  }
}

async function working(t: Parameters<typeof adminApp>[0], options: AdminAppOptions = {}) {
  const work: Work = { runs: 0, gate: Promise.resolve(), fail: undefined }
  const clock = testClock(START)
  const mount = (v1: App): void => void v1.register(workRoute(work))
  const app = await adminApp(t, { mount, now: clock.db, ...options })
  return { app, work, clock, mount }
}

function post(
  app: AdminApp,
  key: string | undefined,
  path = '/v1/jobs/one',
  body: unknown = { n: 1 },
) {
  const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key }
  return app.call('POST', path, { headers, body })
}

t.test('a POST sent again under its key gets the same answer and is not done again', async (t) => {
  const { app, work } = await working(t)
  const first = await post(app, 'key-1')
  const again = await post(app, 'key-1')
  t.match(first, { status: 201, body: { run: 1, n: 1 } })
  t.equal(first.headers.get('idempotency-replayed'), null)
  t.equal(again.status, 201)
  t.equal(again.text, first.text)
  for (const name of ['etag', 'location', 'content-type']) {
    t.equal(again.headers.get(name), first.headers.get(name), name)
  }
  t.equal(again.headers.get('idempotency-replayed'), 'true')
  t.equal(work.runs, 1)
})

t.test('without a key, and under another one, it is done again', async (t) => {
  const { app, work } = await working(t)
  for (const key of [undefined, undefined, 'a', 'b']) await post(app, key)
  t.equal(work.runs, 4)
})

t.test('members of the body in another order are the same request', async (t) => {
  const { app } = await working(t)
  const create = (body: object) =>
    app.call('POST', '/v1/api-tokens', { headers: { 'idempotency-key': 'k' }, body })
  t.equal((await create({ label: 'ci', ttlSeconds: 3600 })).status, 201)
  t.equal((await create({ ttlSeconds: 3600, label: 'ci' })).body.code, 'SECRET_SHOWN_ONCE')
})

t.test('another body, path or query under a known key is refused', async (t) => {
  const { app, work } = await working(t)
  await post(app, 'key-1')
  for (const [path, body] of [
    ['/v1/jobs/one', { n: 2 }],
    ['/v1/jobs/two', { n: 1 }],
    ['/v1/jobs/one?dryRun=false', { n: 1 }],
  ] as const) {
    const refused = await post(app, 'key-1', path, body)
    t.match(refused, { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } }, path)
    t.match(refused.body.next, 'under a new key')
  }
  t.equal(work.runs, 1)
})

t.test('a key is its principal’s own, and its route’s', async (t) => {
  const { app, work } = await working(t)
  const made = await app.call('POST', '/v1/api-tokens', {
    headers: { 'idempotency-key': 'shared' },
    body: { label: 'other' },
  })
  await post(app, 'shared')
  const headers = { 'idempotency-key': 'shared' }
  const other = { token: made.body.token as string, headers, body: { n: 1 } }
  const second = await app.call('POST', '/v1/jobs/one', other)
  t.equal(second.headers.get('idempotency-replayed'), null)
  t.equal(work.runs, 2)
})

t.test('an answer is not repeated to a token whose grants changed meanwhile', async (t) => {
  const work = { runs: 0, refuse: false }
  const jobs = async (v1: App): Promise<void> => {
    v1.post(
      '/meshes/:meshId/jobs',
      { config: { action: 'service.create', narrows: true } },
      async (request, reply) => {
        if (work.refuse) throw new ServiceError('FORBIDDEN', 'not yours')
        const within = ownerScopeOf(request.principal, 'service.create', 'acme')
        return reply.code(201).send({ run: (work.runs += 1), within })
      },
    )
  }
  const app = await adminApp(t, { mount: (v1) => void v1.register(jobs) })
  await makeMesh(app.database.db, testKeyring())
  const developer = { role: 'developer', meshId: 'acme' }
  const made = await app.call('POST', '/v1/api-tokens', {
    body: { label: 'dev', ...developer, namespaces: ['pay', 'shop'] },
  })
  const grant = (namespaces: string[]) =>
    app.call('POST', '/v1/grants', { body: { tokenId: made.body.id, ...developer, namespaces } })
  const { token } = made.body as { token: string }
  const send = (key: string) =>
    app.call('POST', '/v1/meshes/acme/jobs', {
      token,
      headers: { 'idempotency-key': key },
      body: {},
    })
  t.match(await send('k'), { status: 201, body: { run: 1, within: ['pay', 'shop'] } })
  t.match(await send('k'), { status: 201, body: { run: 1 } })
  const less = await grant(['pay'])
  t.equal(less.status, 201, less.text)
  const gone = await app.call('DELETE', `/v1/grants/${made.body.grants[0].id}`)
  t.equal(gone.status, 200, gone.text)
  const refused = await send('k')
  t.match(refused, { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
  t.notMatch(refused.text, 'shop', 'nothing of the kept answer shows')
  t.match(await send('other'), { status: 201, body: { run: 2, within: ['pay'] } })
  await app.call('DELETE', `/v1/grants/${less.body.id}`)
  t.equal((await send('k')).status, 403, 'and without any grant the request is refused as ever')
  t.equal((await grant(['pay', 'shop'])).status, 201)
  t.match(await send('k'), { status: 201, body: { run: 1 } }, 'equal rights get it again')
  work.refuse = true
  t.equal((await send('later')).status, 403)
  work.refuse = false
  t.equal((await send('later')).status, 201, 'what a missing grant refused can be tried again')
})

t.test('a key of 1 to 255 visible ASCII characters is taken, any other refused', async (t) => {
  const { app, work } = await working(t)
  t.equal((await post(app, '!~'.padEnd(255, 'x'))).status, 201)
  for (const key of ['', 'x'.repeat(256), 'two words', 'caf\u00e9']) {
    const refused = await post(app, key)
    t.match(refused, { status: 400, body: { code: 'INVALID_REQUEST' } }, JSON.stringify(key))
    t.match(refused.text, 'dempotency-', 'and the header is named')
  }
  t.equal(work.runs, 1)
})

t.test(
  'a refusal is kept like any answer; what may pass is not, and can be tried again',
  async (t) => {
    const { app, work } = await working(t)
    work.fail = new ServiceError('RULE_INVALID', 'not so')
    t.equal((await post(app, 'refused')).status, 422)
    work.fail = new ServiceError('RATE_LIMITED', 'too often')
    t.equal((await post(app, 'limited')).status, 429)
    work.fail = new ServiceError('DATABASE_UNAVAILABLE', 'away')
    t.equal((await post(app, 'failed')).status, 503)
    work.fail = undefined
    const refused = await post(app, 'refused')
    t.match(refused, { status: 422, body: { code: 'RULE_INVALID', detail: 'not so' } })
    t.match(refused.headers.get('content-type'), 'application/problem+json')
    t.equal(refused.headers.get('idempotency-replayed'), 'true')
    t.equal((await post(app, 'failed')).status, 201)
    t.equal((await post(app, 'limited')).status, 201)
    t.equal(work.runs, 5)
  },
)

t.test('a dry run is not recorded, and its key can be used for the change itself', async (t) => {
  const { app, work } = await working(t)
  const dry = '/v1/jobs/one?dryRun=true'
  await post(app, 'key-1', dry)
  await post(app, 'key-1', dry)
  t.equal((await post(app, 'key-1')).headers.get('idempotency-replayed'), null)
  t.equal(work.runs, 3)
})

t.test('of twenty requests at once on two replicas one is handled', async (t) => {
  const { app, work, mount, clock } = await working(t)
  const beside = await adminApp(t, { mount, now: clock.db, beside: app })
  const { promise, resolve } = Promise.withResolvers<void>()
  work.gate = promise
  const answers = Array.from({ length: 20 }, (_, i) => post(i % 2 === 0 ? app : beside, 'key-1'))
  // All but the one that is handled are refused before it goes on.
  let refused = 0
  for (const answer of answers) void answer.then(() => (refused += 1) === 19 && resolve())
  const settled = await Promise.all(answers)
  t.equal(work.runs, 1)
  t.equal(settled.filter(({ status }) => status === 201).length, 1)
  for (const answer of settled.filter(({ status }) => status !== 201)) {
    t.match(answer, { status: 409, body: { code: 'IDEMPOTENCY_KEY_IN_USE' } })
    t.equal(answer.headers.get('retry-after'), '1')
  }
  const later = await post(beside, 'key-1')
  t.match(later, { status: 201, body: { run: 1 } }, 'the other replica repeats the answer')
})

t.test('a claim whose process crashed ends after a minute of the database’s clock', async (t) => {
  const { app, work, clock } = await working(t)
  const { promise, resolve } = Promise.withResolvers<void>()
  work.gate = promise
  const lost = post(app, 'key-1')
  await untilTrue(() => work.runs === 1)
  clock.advance(CRASHED_AFTER_SECONDS * 1000)
  t.equal((await post(app, 'key-1')).status, 409, 'not before')
  clock.advance(1)
  t.equal((await post(app, 'key-1', '/v1/jobs/one', { n: 2 })).status, 422, 'by the same request')
  work.gate = Promise.resolve()
  t.match(await post(app, 'key-1'), { status: 201, body: { run: 2 } })
  resolve()
  await lost
  t.match(
    await post(app, 'key-1'),
    { status: 201, body: { run: 2 } },
    'one that was only slow cannot write over the answer of its successor',
  )
})

t.test('an answer is repeated for a day, then forgotten and pruned', async (t) => {
  const { app, work, clock } = await working(t)
  const { db } = app.database
  await post(app, 'key-1')
  clock.advance(ANSWER_KEPT_SECONDS * 1000)
  await post(app, 'key-1')
  t.equal(work.runs, 1)
  t.equal(await pruneIdempotencyKeys(db, clock.now()), 0)
  clock.advance(1)
  t.equal((await post(app, 'key-1', '/v1/jobs/one', { n: 2 })).status, 201, 'the key is free again')
  t.equal(work.runs, 2)
  clock.advance(ANSWER_KEPT_SECONDS * 1000 + 1)
  t.equal(await pruneIdempotencyKeys(db, clock.now()), 1)
  t.same(await db.selectFrom('idempotency_key').selectAll().execute(), [])
})

t.test('a stored answer holds no secret, and its repetition names the object', async (t) => {
  const { app } = await working(t)
  const headers = { 'idempotency-key': 'token-1' }
  const create = () => app.call('POST', '/v1/api-tokens', { headers, body: { label: 'ci' } })
  const first = await create()
  t.equal(first.status, 201)
  const rows = await app.database.db.selectFrom('idempotency_key').selectAll().execute()
  t.equal(rows.length, 1)
  t.equal(rows[0]?.body, null)
  t.notMatch(JSON.stringify(rows), first.body.token)
  const again = await create()
  t.match(again, { status: 409, body: { code: 'SECRET_SHOWN_ONCE' } })
  t.match(again.body.detail, `/v1/api-tokens/${first.body.id}`)
  t.match(again.body.next, 'make another under a new Idempotency-Key')
  t.equal(again.headers.get('idempotency-replayed'), 'true')
  const list = await app.call('GET', '/v1/api-tokens')
  t.equal(list.body.items.filter(({ label }: { label: string }) => label === 'ci').length, 1)
  const refused = {
    headers: { 'idempotency-key': 'token-2' },
    body: { label: 'x', meshId: 'none' },
  }
  const one = await app.call('POST', '/v1/api-tokens', refused)
  t.equal((await app.call('POST', '/v1/api-tokens', refused)).text, one.text, 'a refusal is kept')
})

t.test('an answer that cannot be kept is given all the same, and the log tells', async (t) => {
  const { app, work } = await working(t)
  const { promise, resolve } = Promise.withResolvers<void>()
  work.gate = promise
  const answer = post(app, 'key-1')
  await untilTrue(() => work.runs === 1)
  await app.database.db.schema.dropTable('idempotency_key').execute()
  resolve()
  t.equal((await answer).status, 201)
  t.match(app.lines.join(''), 'the answer to a request was not kept')
})
