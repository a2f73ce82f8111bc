import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { alertRoutes } from '../../../src/federation/alert/alert-routes.ts'
import { ALERT_CODES, isAlertCode } from '../../../src/federation/alert/alert-codes.ts'
import { evaluateAlerts } from '../../../src/federation/alert/evaluate-alerts.ts'
import { pruneAlertHistory } from '../../../src/federation/alert/prune-alerts.ts'
import { AlarmSync } from '../../../src/federation/alert/sync-alarms.ts'
import { behave, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { makeMesh, testKeyring } from '../../support/meshes.ts'
import { type FederationApp, federationApp, spiffePeer } from '../federation-app.ts'

const DAY = 86_400
const HOUR = 3600
const inHours = (hours: number): Date =>
  new Date(Math.floor(performance.timeOrigin + performance.now()) + hours * HOUR * 1000)

interface Alerting extends FederationApp {
  /** One evaluation, by this replica. */
  readonly evaluate: (owner?: string) => Promise<boolean>
  readonly open: () => Promise<string[]>
  readonly all: () => Promise<{ code: string; clearedAt: string | null }[]>
}

async function alerting(t: Test): Promise<Alerting> {
  const app = await federationApp(t, {
    mount: (v1, { database }) => void v1.register(alertRoutes, { db: database.db }),
  })
  const { db } = app.database
  await db.deleteFrom('alert').execute()
  await db.deleteFrom('lease').execute()
  const log = { info: () => undefined, warn: () => undefined }
  return {
    ...app,
    evaluate: (owner = 'replica-1') => evaluateAlerts({ db, now: app.clock.db, owner, log }),
    open: async () => {
      const { body } = await app.call('GET', '/meshes/acme/alerts')
      return body.items.map(
        (one: { code: string; severity: string; object: string }) =>
          `${one.severity} ${one.code} ${one.object}`,
      )
    },
    all: async () => (await app.call('GET', '/meshes/acme/alerts?state=all')).body.items,
  }
}

t.test('every alarm that a process raises has a row in the table of alerts', async (t) => {
  const source = join(import.meta.dirname, '../../../src')
  const texts = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(source, name), 'utf8'))
    .join('\n')
  const raised = [...texts.matchAll(/alarms\.raise\(\s*'([^']+)'/g)].map(([, code]) => code ?? '')
  const named = [...texts.matchAll(/^const [A-Z_]+ = '(peer\.[a-z-]+)'$/gm)].map(([, code]) => code)
  t.ok(raised.length >= 7 && named.length >= 4, `${raised.join(' ')} ${named.join(' ')}`)
  for (const code of [...raised, ...named]) t.ok(isAlertCode(code ?? ''), String(code))
  for (const [code, { meaning, act }] of Object.entries(ALERT_CODES)) {
    t.ok(meaning.length > 20 && act.length > 10, code)
  }
})

t.test('one failed poll raises nothing but info, and lasting failure a warning', async (t) => {
  const app = await alerting(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  await app.evaluate()
  t.same(await app.open(), [])
  peer.behaviour = behave.answer(500)
  await app.pollLater()
  await app.evaluate()
  t.same(await app.open(), ['info peer.failing globex/globex.example'])
  for (let polls = 0; polls < 4; polls += 1) await app.pollLater()
  await app.evaluate()
  t.ok((await app.open()).includes('warning peer.stale globex/globex.example'))
  peer.behaviour = behave.serve(peer)
  await app.pollLater()
  await app.evaluate()
  t.equal((await app.open()).length, 1, 'a condition that is gone has a minute to come back')
  await app.clock.advance(61_000)
  await app.evaluate()
  t.same(await app.open(), [])
})

t.test('a flapping condition is one alert', async (t) => {
  const app = await alerting(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  for (const status of [500, 0, 500, 0]) {
    peer.behaviour = status === 0 ? behave.serve(peer) : behave.answer(status)
    await app.clock.advance(30_000)
    await app.call('POST', '/meshes/acme/relationships/globex/refresh', { body: {} })
    await app.evaluate()
  }
  t.equal((await app.all()).length, 1)
})

t.test('the early alarm: failing polls before the last authority ends are critical', async (t) => {
  const app = await alerting(t)
  const peer = await FakePeer.open(t, 'globex.example')
  peer.root = await FakeAuthority.root('globex.example', {
    notBefore: inHours(-2),
    notAfter: inHours(10),
  })
  await peer.presentId(peer.endpointId)
  peer.document = peer.bundle(1n)
  await app.addPeer(peer)
  await app.poll()
  await app.evaluate()
  t.same(await app.open(), [], 'at ten of twelve hours all is well')
  await app.pollLater(5 * HOUR)
  await app.evaluate()
  t.same(await app.open(), [], 'more than a third of its life is left')
  peer.behaviour = behave.answer(503)
  await app.pollLater(300)
  await app.evaluate()
  t.same((await app.open()).toSorted(), [
    'critical peer.deadlock-ahead globex/globex.example',
    'info peer.failing globex/globex.example',
  ])
  await app.pollLater(2 * HOUR)
  await app.evaluate()
  t.ok((await app.open()).includes('warning trust.breaks-soon globex/globex.example'))
  await app.pollLater(2 * HOUR)
  await app.evaluate()
  t.ok((await app.open()).includes('critical trust.breaks-soon globex/globex.example'))
  await app.pollLater(2 * HOUR)
  await app.evaluate()
  await app.clock.advance(61_000)
  await app.evaluate()
  t.same((await app.open()).toSorted(), [
    'critical peer.needs-bootstrap globex/globex.example',
    'critical trust.breaks-soon globex/globex.example',
  ])
})

t.test('alerts of a relationship that ended are closed at once, whoever raised them', async (t) => {
  const app = await alerting(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  peer.document = peer.bundle(0n)
  await app.pollLater()
  await app.evaluate()
  t.match(await app.open(), [/sequence-regressed/, /peer\.failing/])
  t.equal(app.alarms.list().length, 1)
  const { body } = await app.call('GET', '/meshes/acme/relationships/globex')
  const { db } = app.database
  await db
    .updateTable('relationship')
    .set({ state: 'terminated' })
    .where('name', '=', body.name)
    .execute()
  await app.clock.advance(121_000)
  t.ok(await app.evaluate('another replica'))
  t.same(await app.open(), [], 'no minute to come back')
  const sync = new AlarmSync({
    db,
    now: app.clock.db,
    owner: 'replica-1',
    alarms: app.alarms,
    log: { info: () => undefined, warn: () => undefined },
  })
  await sync.run()
  t.equal(app.alarms.list().length, 1)
  await app.clock.advance(60_000)
  await sync.run()
  t.same(app.alarms.list(), [], 'what another replica ended does not stay raised here')
})

t.test('owner data: reviews are due, and ends are told of 30, 7 and 1 days before', async (t) => {
  const app = await alerting(t)
  const peer = await FakePeer.open(t, 'globex.example')
  peer.root = await FakeAuthority.root('globex.example', { notAfter: inHours(24 * 400) })
  await peer.presentId(peer.endpointId)
  peer.document = peer.bundle(1n)
  await app.addPeer(peer)
  await app.poll()
  const { db } = app.database
  const at = (days: number): Date => new Date(app.clock.now().getTime() + days * DAY * 1000)
  await db
    .updateTable('relationship')
    .set({ expires_at: at(40), review_at: at(20) })
    .execute()
  const found: string[][] = []
  for (const days of [0, 11, 10, 13, 5.5]) {
    await app.clock.advance(days * DAY * 1000)
    await db.updateTable('poll').set({ last_success_at: app.clock.now() }).execute()
    await app.evaluate()
    found.push((await app.open()).filter((one) => one.includes('relationship.')).toSorted())
  }
  const due = 'warning relationship.review-due globex'
  t.same(found, [
    [],
    ['info relationship.expires-soon globex'],
    ['info relationship.expires-soon globex', due],
    ['warning relationship.expires-soon globex', due].toSorted(),
    ['critical relationship.expires-soon globex', due].toSorted(),
  ])
  t.equal((await app.all()).filter(({ code }) => code === 'relationship.expires-soon').length, 1)
})

t.test('readers that fall behind, and those that stop, are told of', async (t) => {
  const app = await alerting(t)
  const { db } = app.database
  const now = app.clock.now()
  const { sequence } = await db
    .selectFrom('bundle_revision')
    .select('sequence')
    .executeTakeFirstOrThrow()
  const reader = (label: string, about: { sequence: bigint; last: number; fetches: bigint }) =>
    db
      .insertInto('reader')
      .values({
        mesh_id: app.meshId,
        trust_domain: 'acme.example' as never,
        id: crypto.randomUUID(),
        label,
        kind: 'manual',
        relationship_id: null,
        first_at: now,
        last_at: new Date(now.getTime() + (3600 - about.last) * 1000),
        fetches: about.fetches,
        sequence: about.sequence,
        created_at: now,
      })
      .execute()
  await reader('good', { sequence, last: 100, fetches: 9n })
  await reader('cached', { sequence: sequence - 1n, last: 100, fetches: 9n })
  await reader('gone', { sequence, last: 1600, fetches: 9n })
  await reader('once', { sequence: sequence - 1n, last: 3000, fetches: 1n })
  await app.clock.advance(3600_000)
  await app.evaluate()
  t.same((await app.open()).toSorted(), [
    'warning reader.behind acme.example/cached',
    'warning reader.vanished acme.example/gone',
  ])
})

t.test('lists are filtered, paged, and show a mesh only its own', async (t) => {
  const app = await alerting(t)
  const { db } = app.database
  await makeMesh(db, testKeyring(), { meshId: 'globex', now: app.clock.now() })
  const insert = (meshId: string | null, code: string, severity: 'info' | 'critical') =>
    db
      .insertInto('alert')
      .values({
        mesh_id: meshId as never,
        relationship_id: null,
        code,
        object: `${code} of ${meshId}`,
        replica: null,
        severity,
        message: 'm',
        raised_at: app.clock.now(),
        last_seen_at: app.clock.now(),
        missing_since: null,
        cleared_at: null,
      })
      .execute()
  await insert('acme', 'peer.failing', 'info')
  await insert('acme', 'peer.needs-bootstrap', 'critical')
  await insert('globex', 'peer.failing', 'info')
  await insert(null, 'clock.differs', 'info')
  t.equal((await app.open()).length, 2)
  const get = async (query: string) => (await app.call('GET', query)).body
  t.equal((await get('/alerts')).items.length, 4)
  t.match((await get('/meshes/acme/alerts?minSeverity=warning')).items, [
    { code: 'peer.needs-bootstrap', meaning: /No authority that we hold/, act: /out of band/ },
  ])
  t.match((await get('/alerts?code=clock.differs')).items, [{ meshId: null }])
  const first = await get('/alerts?limit=3')
  t.equal(first.items.length, 3)
  t.equal((await get(`/alerts?limit=3&cursor=${first.nextCursor}`)).items.length, 1)
  t.equal((await app.call('GET', '/meshes/nobody/alerts')).status, 404)
  t.equal((await app.call('GET', '/alerts?state=none')).status, 400)

  const pages = []
  for (let cursor = ''; pages.length < 3;) {
    const page = await get(`/meshes/acme/alerts?limit=1${cursor}`)
    pages.push(...page.items)
    if (page.nextCursor === null) break
    const key: unknown = JSON.parse(Buffer.from(page.nextCursor, 'base64url').toString())
    t.same(key, [page.items[0].id], 'no number counts the alerts of other meshes')
    cursor = `&cursor=${page.nextCursor}`
  }
  t.match(pages, [
    { code: 'peer.needs-bootstrap', nr: undefined },
    { code: 'peer.failing', nr: undefined },
  ])
  t.equal(pages.length, 2)

  const newest = (await get('/alerts?code=clock.differs')).items[0].id
  const gone = (await get('/meshes/acme/alerts?limit=1')).nextCursor
  await db.deleteFrom('alert').where('code', '=', 'peer.needs-bootstrap').execute()
  for (const [cursor, what] of [
    [
      Buffer.from(JSON.stringify([newest])).toString('base64url'),
      'another mesh’s alert says nothing of when it was',
    ],
    [gone, 'the rest of a list does not go silently with the alert at its cursor'],
  ]) {
    const refused = await app.call('GET', `/meshes/acme/alerts?cursor=${cursor}`)
    t.match(refused, { status: 400, body: { code: 'INVALID_REQUEST', detail: /is gone/ } }, what)
  }
})

t.test(
  'one replica evaluates at a time; another takes over when its lease has ended',
  async (t) => {
    const app = await alerting(t)
    t.ok(await app.evaluate('a'))
    t.notOk(await app.evaluate('b'))
    await app.clock.advance(121_000)
    t.ok(await app.evaluate('b'))
    t.notOk(await app.evaluate('a'))
  },
)

t.test('alerts are kept for 90 days after they ended', async (t) => {
  const app = await alerting(t)
  const { db } = app.database
  const sync = new AlarmSync({
    db,
    now: app.clock.db,
    owner: 'replica-1',
    alarms: app.alarms,
    log: { info: () => undefined, warn: () => undefined },
  })
  app.alarms.raise('authority.stuck', 'acme.example', { message: 'no KEK' })
  await sync.run()
  t.match((await app.call('GET', '/meshes/acme/alerts')).body.items, [
    { code: 'authority.stuck', severity: 'critical', replica: 'replica-1' },
  ])
  app.alarms.clear('authority.stuck', 'acme.example')
  await sync.run()
  t.same(await app.open(), [])
  await app.clock.advance(89 * DAY * 1000)
  t.equal(await pruneAlertHistory(db, app.clock.db), 0n)
  await app.clock.advance(2 * DAY * 1000)
  t.equal(await pruneAlertHistory(db, app.clock.db), 1n)
})

t.test('alerts of a replica that is gone are closed', async (t) => {
  const app = await alerting(t)
  const { db } = app.database
  await db
    .insertInto('replica')
    .values({ id: 'dying', started_at: app.clock.now(), seen_at: app.clock.now() })
    .execute()
  app.alarms.raise('clock.differs', 'this replica', { message: 'by 9 s', service: true })
  await new AlarmSync({
    db,
    now: app.clock.db,
    owner: 'dying',
    alarms: app.alarms,
    log: { info: () => undefined, warn: () => undefined },
  }).run()
  await app.evaluate()
  t.equal((await app.call('GET', '/alerts')).body.items.length, 1)
  await app.clock.advance(61_000)
  await app.evaluate()
  t.equal((await app.call('GET', '/alerts')).body.items.length, 0)
  await db.deleteFrom('replica').execute()
})

t.test('a document in quarantine is told of until somebody decides', async (t) => {
  const app = await alerting(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.call('POST', '/meshes/acme/relationships', { body: spiffePeer(peer) })
  await app.poll()
  const { db } = app.database
  const current = await db
    .selectFrom('peer_bundle_revision')
    .selectAll()
    .where('disposition', '=', 'current')
    .executeTakeFirstOrThrow()
  await db
    .insertInto('peer_bundle_revision')
    .values({
      ...current,
      n: current.n + 1n,
      disposition: 'quarantined',
      reason: 'no authority in common',
      verified_by: JSON.stringify(current.verified_by),
    })
    .execute()
  await app.evaluate()
  t.same(await app.open(), ['warning peer.quarantined globex/globex.example'])
  await db
    .updateTable('peer_bundle_revision')
    .set({ disposition: 'rejected' })
    .where('disposition', '=', 'quarantined')
    .execute()
  await app.evaluate()
  await app.clock.advance(61_000)
  await app.evaluate()
  t.same(await app.open(), [])
})

t.test('an endpoint in another domain ends with the authorities of that domain', async (t) => {
  const app = await alerting(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const voucher = await FakePeer.open(t, 'hooli.example')
  voucher.root = await FakeAuthority.root('hooli.example', { notAfter: inHours(20) })
  await voucher.presentId(voucher.endpointId)
  voucher.document = voucher.bundle(1n)
  await app.addPeer(peer)
  await app.addPeer(voucher, { name: 'hooli' })
  await app.poll()
  const { db } = app.database
  await db
    .updateTable('relationship_domain')
    .set({ endpoint_spiffe_id: voucher.endpointId })
    .where('trust_domain', '=', peer.trustDomain)
    .execute()
  await app.clock.advance(15 * HOUR * 1000)
  await db.updateTable('poll').set({ last_success_at: app.clock.now() }).execute()
  await app.evaluate()
  t.same((await app.open()).toSorted(), [
    'warning trust.breaks-soon globex/globex.example',
    'warning trust.breaks-soon hooli/hooli.example',
  ])
  const { body } = await app.call('GET', '/meshes/acme/relationships/globex')
  t.match(body.forecast[0], { reason: 'endpoint-unauthenticated', trustDomain: 'globex.example' })
})
