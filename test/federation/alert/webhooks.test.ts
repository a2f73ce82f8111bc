import { createHmac } from 'node:crypto'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { listSealed } from '../../../src/db/sealed.ts'
import { eventOf } from '../../../src/federation/alert/alert-events.ts'
import { insertAlerts } from '../../../src/federation/alert/alert-store.ts'
import { claimWebhooks } from '../../../src/federation/alert/delivery-store.ts'
import { MAX_TRIES, waitSeconds } from '../../../src/federation/alert/next-try.ts'
import { pruneAlertHistory } from '../../../src/federation/alert/prune-alerts.ts'
import { MAX_QUEUE, queueEvents } from '../../../src/federation/alert/queue-events.ts'
import { readConditions } from '../../../src/federation/alert/read-conditions.ts'
import { webhookRoutes } from '../../../src/federation/alert/webhook-routes.ts'
import { WebhookSender } from '../../../src/federation/alert/webhook-sender.ts'
import { listListeners } from '../../../src/federation/alert/webhook-store.ts'
import { type Behaviour, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { makeMesh, testKeyring } from '../../support/meshes.ts'
import { type Answer, type FederationApp, federationApp } from '../federation-app.ts'

const quiet = { warn: () => undefined, error: () => undefined }

interface Received {
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: string
}

interface Hooked extends FederationApp {
  readonly receiver: FakePeer
  readonly received: Received[]
  readonly answer: (status: number) => void
  readonly sender: (owner?: string) => WebhookSender
  /** One turn of one replica. */
  readonly send: (owner?: string) => Promise<void>
  readonly add: (change?: object, place?: string) => Promise<Answer>
  /** An alert that begins now, told to whom it concerns. */
  readonly alert: (about?: {
    meshId?: string | null
    severity?: 'info' | 'warning' | 'critical'
    code?: string
  }) => Promise<void>
}

const keyring = testKeyring()
let count = 0

async function webReceiver(t: Test, root: FakeAuthority): Promise<FakePeer> {
  const receiver = await FakePeer.open(t, 'receiver.example')
  receiver.present(await root.issue({ dnsNames: ['localhost'] }))
  return receiver
}

async function hooked(t: Test): Promise<Hooked> {
  const root = await FakeAuthority.root('web.example')
  const receiver = await webReceiver(t, root)
  const app = await federationApp(t, {
    webRoots: [root],
    totalMs: 1500,
    mount: (v1, { database: { db }, clock, outbound }) =>
      void v1.register(webhookRoutes, {
        db,
        now: clock.db,
        keyring,
        outbound,
        kick: () => undefined,
      }),
  })
  const { db } = app.database
  await db.deleteFrom('webhook').execute()
  await db.deleteFrom('alert').execute()
  const received: Received[] = []
  let status = 204
  const take = async (...[request, response]: Parameters<Behaviour>): Promise<void> => {
    received.push({ headers: request.headers, body: await text(request) })
    response.writeHead(status).end()
  }
  receiver.behaviour = (request, response) => void take(request, response)
  const sender = (owner = 'replica-1'): WebhookSender =>
    new WebhookSender({
      db,
      now: app.clock.db,
      owner,
      log: quiet,
      metrics: app.metrics,
      keyring,
      outbound: app.outbound,
      random: () => 0,
    })
  return {
    ...app,
    receiver,
    received,
    sender,
    answer: (wanted) => {
      status = wanted
    },
    send: async (owner) => {
      const one = sender(owner)
      await one.claim()
      await one.idle()
    },
    add: (change = {}, place = '/webhooks') =>
      app.call('POST', place, { body: { name: 'ops', url: receiver.at('/hook'), ...change } }),
    alert: async ({ meshId = 'acme', severity = 'warning', code = 'peer.stale' } = {}) => {
      count += 1
      const now = app.clock.now()
      const listeners = await listListeners(db)
      const about = { code, object: `globex ${count}`, severity, message: 'm', replica: undefined }
      await db.transaction().execute(async (trx) => {
        const alerts = await insertAlerts(
          trx,
          [{ ...about, meshId: (meshId ?? undefined) as never, relationshipId: undefined }],
          now,
        )
        const events = alerts.map((one) => eventOf('alert.opened', one))
        await queueEvents(trx, events, { listeners, now })
      })
    },
  }
}

const deliveries = async (app: FederationApp, query = '') =>
  (await app.call('GET', `/webhooks/ops/deliveries${query}`)).body.items

t.test('a delivery is signed as Standard Webhooks has it, with a secret shown once', async (t) => {
  const app = await hooked(t)
  const made = await app.add()
  t.equal(made.status, 201, JSON.stringify(made.body))
  const { secret, id } = made.body
  t.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  await app.alert()
  await app.send()
  const [first] = app.received
  const event = JSON.parse(first?.body ?? '')
  t.match(event, {
    type: 'alert.opened',
    data: { code: 'peer.stale', meshId: 'acme', severity: 'warning', act: /refresh/ },
  })
  const headers: Received['headers'] = first?.headers ?? {}
  const signed = [headers['webhook-id'], headers['webhook-timestamp'], first?.body].join('.')
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  t.equal(
    headers['webhook-signature'],
    `v1,${createHmac('sha256', key).update(signed).digest('base64')}`,
  )
  t.equal(headers['content-type'], 'application/json')
  t.match(await deliveries(app), [
    { id: headers['webhook-id'], state: 'delivered', attempts: 1, lastStatus: 204 },
  ])
  const shown = JSON.stringify((await app.call('GET', '/webhooks')).body)
  t.notMatch(shown, secret.slice(8))
  const { db } = app.database
  t.match((await listSealed(db)).at(-1), { of: 'secret', label: 'secret of webhook ops' })
  const records = await db
    .selectFrom('audit_record')
    .select('body')
    .where('action', '=', 'webhook.create')
    .execute()
  const audited = records.map(({ body }) => Buffer.from(body).toString()).join('')
  t.match(audited, id)
  t.notMatch(audited, /whsec|\/hook/, 'neither the secret nor the path, which is often one')
})

t.test('http, a taken name and unknown codes are refused; a dry run makes nothing', async (t) => {
  const app = await hooked(t)
  t.equal((await app.add({ url: 'http://localhost/hook' })).body.code, 'ENDPOINT_URL_INVALID')
  t.match((await app.add({ codes: ['peer.stale', 'no.such'] })).body, {
    code: 'INVALID_REQUEST',
    errors: [{ pointer: '/codes/1' }],
  })
  const dry = await app.call('POST', '/webhooks?dryRun=true', {
    body: { name: 'ops', url: app.receiver.at('/hook') },
  })
  t.equal(dry.status, 200)
  t.equal((await app.add()).status, 201)
  t.equal((await app.add()).body.code, 'ALREADY_EXISTS')
  t.equal((await app.add({}, '/meshes/acme/webhooks')).status, 201, 'names are per place')
  t.equal((await app.add({}, '/meshes/nobody/webhooks')).status, 404)
  t.equal((await app.call('DELETE', '/webhooks/ops')).status, 200)
  t.equal((await app.call('DELETE', '/webhooks/ops')).status, 404)
})

t.test(
  'a failing receiver is tried ten times over about a day, then the delivery is dead',
  async (t) => {
    const waits = Array.from({ length: MAX_TRIES - 1 }, (_, index) => waitSeconds(index + 1, 0))
    const total = waits.reduce((sum, seconds) => sum + seconds, 0)
    t.ok(total > 20 * 3600 && total < 30 * 3600, `${total} s`)
    t.equal(waitSeconds(1, 1), 8, 'shortened at random by a fifth at most')
    const app = await hooked(t)
    await app.add()
    app.answer(500)
    await app.alert()
    for (const seconds of [0, ...waits]) {
      await app.send()
      const before = app.received.length
      await app.send()
      t.equal(app.received.length, before, 'not before its time')
      await app.clock.advance((seconds === 0 ? (waits[0] ?? 0) : seconds * 3) * 1000)
    }
    t.equal(app.received.length, MAX_TRIES)
    t.equal(new Set(app.received.map(({ headers }) => headers['webhook-id'])).size, 1)
    const [dead] = await deliveries(app, '?state=dead')
    t.match(dead, { attempts: MAX_TRIES, lastStatus: 500, lastError: /answered 500, wanted 2xx/ })
    const conditions = await readConditions(app.database.db, app.clock.now())
    t.ok(conditions.some(({ code, object }) => code === 'webhook.dead' && object === 'ops'))
    app.answer(200)
    const again = await app.call('POST', `/webhooks/ops/deliveries/${dead.id}/retry`, { body: {} })
    t.match(again.body, { state: 'pending', attempts: 0 })
    await app.send()
    t.match(await deliveries(app), [{ state: 'delivered', attempts: 1 }])
    t.same(
      (await readConditions(app.database.db, app.clock.now())).filter(
        ({ code }) => code === 'webhook.dead',
      ),
      [],
    )
    await app.clock.advance(31 * 86_400_000)
    t.equal(await pruneAlertHistory(app.database.db, app.clock.db), 1n, 'kept for 30 days')
  },
)

t.test('redirects are not followed and bodies that are refused count as failures', async (t) => {
  const app = await hooked(t)
  await app.add()
  const elsewhere = app.receiver.at('/elsewhere')
  const redirect: Behaviour = (_request, response) => {
    response.writeHead(307, { location: elsewhere }).end()
  }
  app.receiver.behaviour = redirect
  await app.alert()
  await app.send()
  t.equal(app.receiver.requests.length, 1)
  t.match(await deliveries(app), [{ state: 'pending', lastError: /do not follow redirects/ }])
})

t.test('a hanging receiver delays no other and takes one request at a time', async (t) => {
  const app = await hooked(t)
  const root = await FakeAuthority.root('other.example')
  const hanging = await webReceiver(t, root)
  let open = 0
  let most = 0
  hanging.behaviour = (request) => {
    open += 1
    most = Math.max(most, open)
    request.socket.on('close', () => (open -= 1))
  }
  await app.add({ name: 'hangs', url: app.receiver.at('/hang') })
  const good = app.receiver.behaviour
  app.receiver.behaviour = (request, response) =>
    request.url === '/hang' ? hanging.behaviour(request, response) : good(request, response)
  await app.add()
  for (let alerts = 0; alerts < 3; alerts += 1) await app.alert()
  const one = app.sender('a')
  const two = app.sender('b')
  const started = performance.now()
  await Promise.all([one.claim(), two.claim()])
  while (app.received.length < 3) await new Promise((resolve) => setTimeout(resolve, 5))
  t.ok(performance.now() - started < 1000, 'the good receiver has all three before a timeout')
  await Promise.all([one.idle(), two.idle()])
  t.equal(most, 1)
  t.equal(app.received.length, 3, 'two replicas sent each once')
})

t.test('what a killed replica was sending is sent again under the same id', async (t) => {
  const app = await hooked(t)
  await app.add()
  await app.alert()
  const { db } = app.database
  const now = app.clock.now()
  const leaseUntil = new Date(now.getTime() + 30_000)
  await claimWebhooks(db, { owner: 'killed', now, leaseUntil, limit: 9 })
  await app.send('other')
  t.equal(app.received.length, 0, 'its lease stands')
  await app.clock.advance(31_000)
  await app.send('other')
  t.equal(app.received.length, 1)
})

t.test('a webhook is told of its mesh, its codes and what is urgent enough', async (t) => {
  const app = await hooked(t)
  await makeMesh(app.database.db, testKeyring(), { meshId: 'globex', now: app.clock.now() })
  const wanted = (name: string, change: object, place?: string) =>
    app.add({ name, url: app.receiver.at(`/${name}`), ...change }, place)
  await wanted('all', { minSeverity: 'info' })
  await wanted('default', {})
  await wanted('codes', { codes: ['clock.differs'] })
  await wanted('mesh', {}, '/meshes/acme/webhooks')
  await app.alert({ severity: 'info' })
  await app.alert({ meshId: 'globex' })
  await app.alert({ meshId: null, code: 'clock.differs', severity: 'critical' })
  await app.alert({ meshId: 'acme' })
  await app.send()
  const told = Object.groupBy(app.receiver.requests, ({ path }) => path)
  t.match(Object.fromEntries(Object.entries(told).map(([path, all]) => [path, all?.length])), {
    '/all': 4,
    '/default': 3,
    '/codes': 1,
    '/mesh': 1,
  })
})

t.test(
  'deliveries are paged, the newest first, and no cursor counts those of others',
  async (t) => {
    const app = await hooked(t)
    const place = '/meshes/acme/webhooks'
    await app.add({ name: 'all' })
    await app.add({ name: 'mesh' }, place)
    for (const severity of ['warning', 'critical'] as const) await app.alert({ severity })
    const list = async (query: string) =>
      (await app.call('GET', `${place}/mesh/deliveries?${query}`)).body
    const whole = await list('')
    const first = await list('limit=1')
    const second = await list(`limit=1&cursor=${first.nextCursor}`)
    t.match(JSON.parse(whole.items[0].body), { data: { severity: 'critical', nr: undefined } })
    t.same([...first.items, ...second.items], whole.items)
    t.equal(second.nextCursor, null)
    const key: unknown = JSON.parse(Buffer.from(first.nextCursor, 'base64url').toString())
    t.same(key, [first.items[0].id])
    const others = (await app.call('GET', '/webhooks/all/deliveries?limit=1')).body.nextCursor
    t.match(await app.call('GET', `${place}/mesh/deliveries?cursor=${others}`), { status: 400 })
  },
)

t.test('a queue that is full drops nothing silently', async (t) => {
  const app = await hooked(t)
  await app.add()
  const { db } = app.database
  const listeners = (await listListeners(db)).map((one) => ({ ...one, pending: MAX_QUEUE }))
  await app.alert({ severity: 'info' })
  const now = app.clock.now()
  const alert = { meshId: undefined, relationshipId: undefined, code: 'peer.stale', object: 'x' }
  const [made] = await insertAlerts(
    db,
    [{ ...alert, replica: undefined, severity: 'warning', message: 'm' }],
    now,
  )
  const events = made === undefined ? [] : [eventOf('alert.opened', made)]
  await queueEvents(db, events, { listeners, now })
  t.match(await deliveries(app, '?state=dead'), [{ lastError: /10000 deliveries wait/ }])
})

t.test('a test message goes out at once and tells how it went', async (t) => {
  const app = await hooked(t)
  await app.add()
  const test = () => app.call('POST', '/webhooks/ops/test', { body: {} })
  t.match((await test()).body, { delivered: true, status: 204, body: /webhook\.test/ })
  app.answer(401)
  t.match((await test()).body, {
    delivered: false,
    status: 401,
    error: { message: /answered 401/ },
  })
  t.equal(app.received.length, 2)
  const dry = await app.call('POST', '/webhooks/ops/test?dryRun=true', { body: {} })
  t.match(dry.body, { delivered: false, error: null })
  t.equal(app.received.length, 2)
  t.same(await deliveries(app), [])
})
