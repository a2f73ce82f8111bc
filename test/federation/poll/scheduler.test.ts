import t from 'tap'
import { addSeconds } from '../../../src/clock.ts'
import { type PollTask } from '../../../src/federation/poll/claim-store.ts'
import { outcomeOf } from '../../../src/federation/poll/poll-outcome.ts'
import { PollSettler } from '../../../src/federation/poll/poll-settler.ts'
import { FederationScheduler, LEASE_SECONDS } from '../../../src/federation/poll/scheduler.ts'
import { quiet } from '../../support/database.ts'
import { behave, FakePeer } from '../../support/fake-peer.ts'
import { CountingPlugin } from './counting-plugin.ts'
import { federationApp, type FederationApp } from '../federation-app.ts'

const PATH = '/meshes/acme/relationships'

/** Relationships over https_web with peers that nobody runs; their polls are told how to end. */
const addMany = async (app: FederationApp, count: number) => {
  for (let turn = 0; turn < count; turn += 1) {
    const domains = [
      {
        trustDomain: `peer-${turn}.example`,
        source: 'https_web',
        endpointUrl: `https://peer-${turn}.example/bundle`,
      },
    ]
    const made = await app.call('POST', PATH, { body: { name: `peer-${turn}`, domains } })
    if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  }
}

/** A scheduler of another replica, whose polls do what the test says. */
const replica = (
  app: FederationApp,
  owner: string,
  refresh: (task: PollTask, signal: AbortSignal) => Promise<unknown>,
) =>
  new FederationScheduler({
    db: app.database.background,
    now: app.clock.db,
    clock: app.clock,
    log: quiet,
    owner,
    refresh,
  })

t.test('FE-35 requests in an hour of failures are an hour divided by the interval', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  peer.behaviour = behave.answer(500)
  const before = peer.requests.length
  for (let seconds = 0; seconds < 3600; seconds += 20) await app.pollLater(20)
  t.equal(peer.requests.length - before, 3600 / 300)
})

t.test('FE-34 a new hint changes the next interval, a limit of ours bounds it', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  const nextIn = async () => {
    const [domain] = (await app.show()).domains
    return (Date.parse(domain?.poll?.nextAt ?? '') - app.clock.now().getTime()) / 1000
  }
  t.equal(await nextIn(), 300)
  peer.document = peer.bundle(2n, { hint: 120 })
  await app.pollLater(300)
  t.equal(await nextIn(), 120)
  peer.document = peer.bundle(3n, { hint: 5 })
  await app.pollLater(120)
  t.equal(await nextIn(), 60)
  peer.document = peer.bundle(4n, { hint: undefined })
  await app.pollLater(60)
  t.equal(await nextIn(), 300)
  await app.call('PATCH', `${PATH}/globex`, { body: { hintMaxSeconds: 90 }, ifMatch: '*' })
  await app.pollLater(300)
  t.equal(await nextIn(), 90)
})

t.test('replicas share what is due, and each peer is polled once', async (t) => {
  const app = await federationApp(t)
  await addMany(app, 30)
  const polled: string[] = []
  const by = new Map<string, number>()
  const poller = (owner: string) =>
    replica(app, owner, async (task) => {
      polled.push(task.relationship)
      by.set(owner, (by.get(owner) ?? 0) + 1)
      await new Promise((resolve) => setTimeout(resolve, 50))
    })
  const replicas = ['a', 'b', 'c'].map(poller)
  await Promise.all(replicas.map((one) => one.claim()))
  await Promise.all(replicas.map((one) => one.idle()))
  t.equal(polled.length, 30)
  t.equal(new Set(polled).size, 30)
  await Promise.all(replicas.map((one) => one.claim()))
  await Promise.all(replicas.map((one) => one.idle()))
  t.equal(polled.length, 30, 'nothing twice while the leases hold')
})

t.test(
  'what a killed replica had in flight is polled by another when its lease ends',
  async (t) => {
    const app = await federationApp(t)
    await addMany(app, 3)
    const killed = replica(app, 'killed', () => new Promise(() => undefined))
    await killed.claim()
    const polled: PollTask[] = []
    const living = replica(app, 'living', async (task) => polled.push(task))
    await living.claim()
    t.equal(polled.length, 0)
    await app.clock.advance(LEASE_SECONDS * 1000)
    await living.claim()
    t.equal(polled.length, 0, 'not a moment before')
    await app.clock.advance(1)
    await living.claim()
    await living.idle()
    t.equal(polled.length, 3)
    t.same(
      polled.map(({ epoch }) => epoch),
      [2n, 2n, 2n],
      'each claim raises the epoch',
    )
  },
)

t.test('what a replica brings after its lease passed on changes nothing', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  await app.clock.advance(300_000)
  const answer = behave.serve(peer)
  let release: (() => void) | undefined
  const held = new Promise<void>((resolve) => (release = resolve))
  let arrived: (() => void) | undefined
  const inFlight = new Promise<void>((resolve) => (arrived = resolve))
  const slow = peer.bundle(2n)
  peer.behaviour = (_request, response) => {
    arrived?.()
    void held.then(() => behave.answer(200, slow)(_request, response))
  }
  const first = app.poll()
  await inFlight
  peer.behaviour = answer
  peer.document = peer.bundle(3n)
  await app.clock.advance(LEASE_SECONDS * 1000 + 1)
  const other = await federationApp(t, { database: app.database, clock: app.clock, owner: 'b' })
  await other.poll()
  release?.()
  await first
  t.match(
    app.lines.findLast(({ event }) => event === 'federation.fetched'),
    { outcome: 'discarded' },
  )
  t.match(await app.show(), { domains: [{ bundle: { sequence: '3' } }] })
})

t.test('a replica that stops gives its leases back', async (t) => {
  const app = await federationApp(t)
  await addMany(app, 2)
  const stopping = replica(
    app,
    'stopping',
    (_task, signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      ),
  )
  await stopping.claim()
  await stopping.stop()
  const polled: string[] = []
  const other = replica(app, 'other', async (task) => polled.push(task.relationship))
  await other.claim()
  await other.idle()
  t.equal(polled.length, 2, 'at once')
})

t.test('dead peers fill their own pool only; healthy ones are polled beside them', async (t) => {
  const app = await federationApp(t)
  await addMany(app, 12)
  const { db } = app.database
  await db
    .updateTable('poll')
    .set({ failures: 3 })
    .where('trust_domain', 'in', ['peer-0.example', 'peer-1.example', 'peer-2.example'] as never)
    .execute()
  await db
    .updateTable('poll')
    .set({ last_success_at: addSeconds(app.clock.now(), -600) })
    .where('failures', '=', 0)
    .execute()
  const begun: string[] = []
  const scheduler = new FederationScheduler({
    db,
    now: app.clock.db,
    clock: app.clock,
    log: quiet,
    owner: 'pools',
    poolSizes: { healthy: 100, other: 2 },
    refresh: (task, signal) => {
      begun.push(task.relationship)
      return task.failures === 0
        ? Promise.resolve()
        : new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason as Error)),
          )
    },
  })
  t.teardown(() => scheduler.stop())
  await scheduler.claim()
  t.equal(begun.length, 9 + 2, 'all healthy peers, and two of three dead ones')
})

t.test('the scheduler polls by itself, and a kick makes it look at once', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  app.scheduler.start()
  await app.addPeer(peer)
  for (let turn = 0; turn < 100 && (await app.show()).state !== 'active'; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  t.equal(
    (await app.show()).state,
    'active',
    'made known by the route, with the clock standing still',
  )
})

t.test('statements per unchanged poll do not grow with the number of peers', async (t) => {
  const app = await federationApp(t)
  await addMany(app, 40)
  let statements = 0
  const counted = app.database.db.withPlugin(new CountingPlugin(() => (statements += 1)))
  const settler = new PollSettler(counted)
  const scheduler = replica(
    { ...app, database: { ...app.database, background: counted } },
    'count',
    async (task) =>
      settler.settle(
        outcomeOf(
          task,
          { kind: 'succeeded', hintSeconds: 300, httpEtag: undefined, changesLastHour: 0 },
          {
            pollMinSeconds: 60,
            random: 0,
            anchors: { certificates: [], windows: [] },
            waiting: undefined,
          },
        ),
      ),
  )
  await scheduler.claim()
  await scheduler.idle()
  t.ok(statements <= 8, `${statements} statements for 40 polls`)
  const due = await app.database.db
    .selectFrom('poll')
    .select('trust_domain')
    .where('next_at', '<=', app.clock.now())
    .execute()
  t.same(due, [])
})

t.test('BU-14 FE-34 a hint of odd shape counts as none, a huge one is clamped', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  const hints: [string, number][] = [
    ['0', 300],
    ['-5', 300],
    ['1.5', 300],
    ['"300"', 300],
    ['null', 300],
    ['1000000000000', 300],
    ['31536000', 86_400],
    ['1', 60],
    ['900', 900],
  ]
  let sequence = 10n
  for (const [hint, interval] of hints) {
    sequence += 1n
    const good = new TextDecoder().decode(peer.bundle(sequence, { hint: 777 }))
    peer.document = new TextEncoder().encode(good.replace('777', hint))
    await app.call('POST', `${PATH}/globex/refresh`, { body: {} })
    const [domain] = (await app.show()).domains
    t.equal(domain?.bundle?.sequence, sequence.toString(), hint)
    t.equal(domain?.poll?.intervalSeconds, interval, hint)
  }
})

t.test(
  'FE-36 a peer that fails for long is stale after fifteen minutes, and trust is untouched',
  async (t) => {
    const app = await federationApp(t)
    const peer = await FakePeer.open(t, 'globex.example')
    await app.addPeer(peer)
    await app.poll()
    peer.behaviour = behave.answer(503)
    await app.pollLater(300)
    t.equal((await app.show()).health, 'failing')
    await app.pollLater(300)
    await app.pollLater(300)
    await app.pollLater(300)
    t.match(await app.show(), { state: 'active', health: 'stale', healthReason: /answered 503/ })
    t.equal((await app.peerBundles.of(app.meshId)).size, 1)
  },
)
