import t, { type Test } from 'tap'
import { createOffer } from '../../../src/catalog/change-offers.ts'
import { createService } from '../../../src/catalog/change-services.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { createLogger } from '../../../src/http/log.ts'
import { createMetrics } from '../../../src/http/metrics.ts'
import { createRule } from '../../../src/policy/change/change-rules.ts'
import { workloadResolveRoutes } from '../../../src/policy/resolve/resolve-workload-routes.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { Snapshots } from '../../../src/policy/snapshot/snapshots.ts'
import { createEntry } from '../../../src/registry/change-entries.ts'
import { identifyWorkload } from '../../../src/svid/identify.ts'
import { RateLimiter } from '../../../src/svid/rate-limit.ts'
import { testClock } from '../../support/clock.ts'
import { type IssuingOptions, issuingService } from '../../svid/issuing-service.ts'
import { addRelationship } from '../policy-app.ts'
import { addCluster, addEndpoint, addGateway, addNetwork } from '../placed-mesh.ts'

const TO_BAR: RuleDraft = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: 'shop', name: 'cart' },
  audience: { kind: 'self', callers: { namespaces: ['bar'] } },
}

/** Acme, whose `shop/cart` may be called from namespace bar: at 10.0.0.5 in cluster east, and behind a gateway. */
const acme = async (t: Test, options: IssuingOptions = {}) => {
  const lines: string[] = []
  const log = createLogger({ level: 'info' }, { write: (line) => void lines.push(line) })
  const service = await issuingService(t, {
    ...options,
    mount: (app, who) => {
      const { db, now } = who.deps as typeof service.deps
      const metrics = createMetrics()
      const snapshots = new Snapshots({ db, log })
      const identify = (request: Parameters<typeof identifyWorkload>[1]) =>
        identifyWorkload(who, request)
      app.register(workloadResolveRoutes, { db, now, log, metrics, snapshots, identify })
    },
  })
  const { database, meshId, clock } = service
  const { db } = database
  const context = { actor: 'tester', now: clock.now() }
  const placed = { db, meshId, now: clock.now() }
  await addNetwork(placed, 'vpc-a')
  await addCluster(placed, 'east', { networks: ['vpc-a'] })
  await addGateway(placed, 'gw-a', 'vpc-a')
  await inTransaction(db, async (trx) => {
    const draft = {
      namespace: 'shop',
      name: 'cart',
      ports: [{ name: 'http', port: 80 }],
      identities: ['/ns/shop/sa/cart'],
    }
    await createService(trx, meshId, { draft, context })
    await createRule(trx, meshId, { draft: TO_BAR, context })
    const tied = { spiffeId: '/ns/bar/sa/tied', cluster: 'default' }
    await createEntry(trx, meshId, { draft: tied, context })
  })
  await addEndpoint(placed, { cluster: 'east', network: 'vpc-a', address: '10.0.0.5' })
  return { ...service, decided: lines }
}

t.test('a workload is told the ways from its network to what it may call', async (t) => {
  const { call, join } = await acme(t)
  const as = await join('/ns/bar/sa/web')
  const { status, body, headers } = await call('GET', '/resolve?service=shop/cart&network=vpc-a', {
    as,
  })
  t.equal(status, 200)
  t.match(body, {
    service: 'shop/cart',
    consumer: {
      network: 'vpc-a',
      cluster: null,
      namespace: 'bar',
      caller: 'spiffe://acme.example/ns/bar/sa/web',
    },
    serverIds: ['spiffe://acme.example/ns/shop/sa/cart'],
    groups: [{ targets: [{ address: '10.0.0.5', port: 8080, viaGateway: null }] }],
  })
  t.notOk('steps' in body, 'why it may is the affair of administrators')
  const etag = String(headers['etag'])
  const again = await call('GET', '/resolve?service=shop/cart&network=vpc-a', {
    as,
    headers: { 'if-none-match': etag },
  })
  t.same([again.status, again.text], [304, ''])
})

t.test('what a workload may not call looks exactly like what does not exist', async (t) => {
  const { call, join } = await acme(t)
  const as = await join('/ns/foo/sa/web')
  const ask = async (query: string) => {
    const { status, body } = await call('GET', `/resolve?${query}&network=vpc-a`, { as })
    const { instance, ...rest } = body
    t.ok(instance)
    return { status, ...rest }
  }
  const hidden = await ask('service=shop/cart')
  t.match(hidden, { status: 404, code: 'NOT_FOUND' })
  t.same(await ask('service=shop/none'), hidden)
  t.same(await ask('service=shop/cart&port=http'), hidden)
  t.same(await ask('service=shop/cart&port=none'), hidden)
  t.same(await ask('service=market/quotes&of=globex'), hidden)
})

t.test('a port that is closed to a workload looks like one that does not exist', async (t) => {
  const service = await acme(t)
  const { db } = service.database
  await inTransaction(db, async (trx) => {
    const context = { actor: 'tester', now: service.clock.now() }
    const ports = [
      { name: 'http', port: 80 },
      { name: 'admin', port: 9090 },
    ]
    const till = { namespace: 'shop', name: 'till' }
    const draft = { ...till, ports, identities: ['/ns/shop/sa/till'] }
    await createService(trx, service.meshId, { draft, context })
    const rule = { ...TO_BAR, subject: { ...till, ports: ['http'] } }
    await createRule(trx, service.meshId, { draft: rule, context })
  })
  const as = await service.join('/ns/bar/sa/web')
  const ask = async (port: string) => {
    const query = `service=shop/till&network=vpc-a&port=${port}`
    const { status, body } = await service.call('GET', `/resolve?${query}`, { as })
    const { instance, ...rest } = body
    return { status, ...rest, instance: typeof instance }
  }
  t.equal((await ask('http')).status, 200)
  const closed = await ask('admin')
  t.match(closed, { status: 404, code: 'NOT_FOUND' })
  t.same(await ask('none'), closed)
  t.same(await ask('9090'), closed)
})

t.test('a workload whose entry is tied to a cluster asks from there alone', async (t) => {
  const { call, join } = await acme(t)
  const as = await join('/ns/bar/sa/tied')
  const own = await call('GET', '/resolve?service=shop/cart', { as })
  t.match(own.body, {
    consumer: { cluster: 'default', network: 'default' },
    groups: [{ targets: [{ viaGateway: 'gw-a', address: '203.0.113.1' }] }],
  })
  t.equal((await call('GET', '/resolve?service=shop/cart&cluster=default', { as })).status, 200)
  const other = await call('GET', '/resolve?service=shop/cart&cluster=east', { as })
  t.match(other.body, { status: 403, code: 'FORBIDDEN', detail: /tied to cluster default/ })
  const network = await call('GET', '/resolve?service=shop/cart&network=vpc-a', { as })
  t.match(network.body, { status: 400, detail: /who asks can be in no network "vpc-a"/ })
})

t.test('a deny of one cluster holds for whoever could be in it, whatever it says', async (t) => {
  const { call, join, database, meshId, clock } = await acme(t)
  const [untied, tied] = [await join('/ns/bar/sa/web'), await join('/ns/bar/sa/tied')]
  const ask = async (query: string, as: typeof untied) =>
    (await call('GET', `/resolve?service=shop/cart${query}`, { as })).status
  const asked = async () => [
    await ask('&network=vpc-a', untied),
    await ask('&cluster=east', untied),
    await ask('&cluster=default', untied),
    await ask('', tied),
  ]
  t.same(await asked(), [200, 200, 200, 200])
  await inTransaction(database.db, async (trx) => {
    const context = { actor: 'tester', now: clock.now() }
    const draft = { ...TO_BAR, effect: 'deny', clusters: ['east'] } as const
    await createRule(trx, meshId, { draft, context })
  })
  t.same(await asked(), [404, 404, 404, 200])
})

t.test('what one cluster is allowed is not for whoever only says to be there', async (t) => {
  const { call, join, database, meshId, clock } = await acme(t)
  const [untied, tied] = [await join('/ns/bar/sa/web'), await join('/ns/bar/sa/tied')]
  await inTransaction(database.db, async (trx) => {
    const context = { actor: 'tester', now: clock.now() }
    const till = { namespace: 'shop', name: 'till' }
    const ports = [{ name: 'http', port: 80 }]
    const service = { ...till, ports, identities: ['/ns/shop/sa/till'] }
    await createService(trx, meshId, { draft: service, context })
    const draft = { ...TO_BAR, subject: till, clusters: ['default'] }
    await createRule(trx, meshId, { draft, context })
  })
  const ask = async (query: string, as: typeof untied) =>
    (await call('GET', `/resolve?service=shop/till${query}`, { as })).status
  t.equal(await ask('&cluster=default', untied), 404)
  t.equal(await ask('&network=default', untied), 404)
  t.equal(await ask('', tied), 200)
})

t.test(
  'a workload is told no names of clusters and networks when it names a wrong one',
  async (t) => {
    const { call, join } = await acme(t)
    const as = await join('/ns/bar/sa/web')
    for (const query of ['', '&network=vpc-x', '&cluster=x', '&cluster=east&network=default']) {
      const { status, text } = await call('GET', `/resolve?service=shop/cart${query}`, { as })
      t.equal(status, 400)
      t.notMatch(text.replaceAll(/"instance":"[^"]*"/g, ''), /vpc-a|east, |default,|in default/)
    }
  },
)

t.test('who asked for what, and how rules decided, is in the log of the operator', async (t) => {
  const { call, join, decided: lines, database } = await acme(t)
  const [bar, pay] = [await join('/ns/bar/sa/web'), await join('/ns/pay/sa/web')]
  await call('GET', '/resolve?service=shop/cart&network=vpc-a', { as: bar })
  await call('GET', '/resolve?service=shop/cart&network=vpc-a', { as: pay })
  await call('GET', '/resolve?service=shop/nothing&network=vpc-a', { as: bar })
  const decided = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => event === 'workload.decided')
  const { id } = await database.db.selectFrom('rule').select('id').executeTakeFirstOrThrow()
  const common = { meshId: 'acme', service: 'shop/cart', revision: /^\d+$/ }
  t.match(decided, [
    { ...common, spiffeId: 'spiffe://acme.example/ns/bar/sa/web', outcome: 'routed', rules: [id] },
    { ...common, spiffeId: 'spiffe://acme.example/ns/pay/sa/web', outcome: 'deny', rules: [] },
    { service: 'shop/nothing', outcome: 'deny', rules: [] },
  ])
  t.equal(decided.length, 3)
})

t.test(
  'what a workload asks for can neither break a line of the log nor steer a terminal',
  async (t) => {
    const { call, join, decided: lines } = await acme(t)
    const as = await join('/ns/bar/sa/web')
    const service = 'shop/a\n{"event":"forged"}\u009b2J\u202e\u{e0041}\u2028b'
    const [of, port] = ['\u001b]0;x\u0007\u009d', 'http']
    const query = new URLSearchParams({ service, of, port, network: 'vpc-a' })
    t.equal((await call('GET', `/resolve?${query.toString()}`, { as })).status, 404)
    const line = lines.find((text) => text.includes('workload.decided')) ?? ''
    t.match(line, /^[\x20-\x7e]+\n$/, 'one line of characters that are seen')
    t.match(JSON.parse(line), { service, relationship: of, outcome: 'deny' }, 'and nothing is lost')
  },
)

t.test('a workload is not sent to what lost its name, and the log says who keeps it', async (t) => {
  const { call, join, decided: lines, database, meshId, clock } = await acme(t)
  const { db } = database
  await addRelationship(db, meshId, { name: 'globex' })
  const audience = { kind: 'peers', relationships: ['globex'] } as const
  const rules: RuleDraft[] = [
    { direction: 'export', effect: 'allow', subject: { identity: '*' }, audience },
    ...[{}, { as: { name: 'a' } }].map((more, i) => ({
      direction: 'import' as const,
      effect: 'allow' as const,
      subject: { namespace: 'market', name: i === 0 ? '*' : 'b' },
      audience,
      ...more,
    })),
  ]
  await inTransaction(db, async (trx) => {
    const context = { actor: 'tester', now: clock.now() }
    for (const draft of rules) await createRule(trx, meshId, { draft, context })
    for (const [i, name] of ['b', 'a'].entries()) {
      const ports = [{ name: 'http', port: 80 }]
      const draft = { namespace: 'market', name, ports, identities: ['/server'] }
      const later = { ...context, now: new Date(clock.now().getTime() + i) }
      await createOffer(trx, meshId, { relationship: 'globex', draft, context: later })
    }
  })
  const as = await join('/ns/bar/sa/web')
  const ask = (name: string) =>
    call('GET', `/resolve?service=market/${name}&of=globex&network=vpc-a`, { as })
  t.match((await ask('b')).body, { hostname: /^a\.market\.svc\.globex\./ })
  t.match((await ask('a')).body, { status: 404, code: 'NOT_FOUND' })
  const [found, lost] = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => event === 'workload.decided')
  t.notOk(found && 'reason' in found)
  t.match(lost, {
    service: 'market/a',
    outcome: 'deny',
    reason: /^market\/a is the name of market\/b already, by rule /,
  })
})

t.test('nobody is told anything without an SVID of ours', async (t) => {
  const { call } = await acme(t)
  const { body } = await call('GET', '/resolve?service=shop/cart&network=vpc-a')
  t.match(body, { status: 401, code: 'AUTHENTICATION_REQUIRED' })
})

t.test('a caller that asks without end is told to wait', async (t) => {
  const rate = { perSecond: 100, burst: 100 }
  const perEntry = { perSecond: 0.1, burst: 2 }
  const limits = { perService: rate, perMesh: rate, perSource: rate, perEntry }
  const { call, join } = await acme(t, {
    deps: (deps) => ({ ...deps, limiter: new RateLimiter({ clock: testClock(), limits }) }),
  })
  const as = await join('/ns/bar/sa/web')
  const statuses: number[] = []
  for (let turn = 0; turn < 3; turn += 1) {
    statuses.push((await call('GET', '/resolve?service=shop/cart&network=vpc-a', { as })).status)
  }
  t.same(statuses, [200, 200, 429])
})
