import t from 'tap'
import { addSeconds } from '../../../src/clock.ts'
import { keepTrustHistory } from '../../../src/federation/trust/keep-trust-history.ts'
import { pruneSpans, pruneStandings } from '../../../src/federation/trust/trust-prune-store.ts'
import { FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { type FederationApp, federationApp } from '../federation-app.ts'

const DAY = 24 * 3600

const federated = async (t: Parameters<typeof federationApp>[0]) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  return { app, peer }
}
/** Lets the peer change its second root so many times. */
const rotate = async (app: FederationApp, peer: FakePeer, times: number) => {
  for (let round = 0; round < times; round += 1) {
    const roots = [peer.root, await FakeAuthority.root('globex.example')]
    peer.document = peer.bundle(BigInt(round + 2), { roots })
    await app.pollLater(4000)
  }
}
const spans = async (app: FederationApp) =>
  app.database.db
    .selectFrom('trust_span')
    .select(['from_at', 'until_at'])
    .orderBy('from_at')
    .execute()
const keep = (app: FederationApp, change: object = {}) => ({
  before: addSeconds(app.clock.now(), -400 * DAY),
  maxSpans: 20_000,
  maxStandings: 1000,
  ...change,
})
const completeSince = async (app: FederationApp): Promise<string> =>
  (await app.call('GET', '/meshes/acme/trust')).body.completeSince

t.test(
  'what ended more than 400 days ago is pruned, and the answer says since when it is whole',
  async (t) => {
    const { app, peer } = await federated(t)
    await rotate(app, peer, 3)
    t.equal((await spans(app)).length, 4)
    const ended = (await spans(app)).flatMap(({ until_at: until }) => until ?? [])
    await app.clock.advance(401 * DAY * 1000)
    t.match(await keepTrustHistory(app.database.db, app.clock.db), { begun: 0, pruned: 2 })
    t.equal((await spans(app)).length, 2, 'what is trusted now stays')
    t.equal(await completeSince(app), ended.at(-1)?.toISOString())
  },
)

t.test('a peer that changes all the time keeps so many spans, the newest', async (t) => {
  const { app, peer } = await federated(t)
  await rotate(app, peer, 6)
  const ended = (await spans(app)).flatMap(({ until_at: until }) => until ?? [])
  t.equal(ended.length, 5)
  t.equal(await pruneSpans(app.database.db, keep(app, { maxSpans: 2 })), 3)
  t.equal(await completeSince(app), ended[2]?.toISOString())
  t.equal(await pruneSpans(app.database.db, keep(app, { maxSpans: 2 })), 0)
})

t.test('standings are pruned, but not the consent that a relationship rests on', async (t) => {
  const { app } = await federated(t)
  for (const act of ['suspend', 'resume', 'suspend', 'resume']) {
    const { version } = await app.show()
    await app.call('POST', `/meshes/acme/relationships/globex/${act}`, {
      body: {},
      ifMatch: `"v${version}"`,
    })
  }
  const events = async () =>
    (
      await app.database.db
        .selectFrom('relationship_standing')
        .select('event')
        .orderBy('n')
        .execute()
    ).map(({ event }) => event)
  t.same(await events(), ['create', 'activate', 'suspend', 'resume', 'suspend', 'resume'])
  await pruneStandings(app.database.db, keep(app, { maxStandings: 2 }))
  t.same(await events(), ['create', 'suspend', 'resume'])
  await pruneStandings(app.database.db, keep(app, { before: addSeconds(app.clock.now(), 1) }))
  t.same(await events(), ['create', 'resume'])
  await app.database.db.deleteFrom('relationship').execute()
  await pruneStandings(app.database.db, keep(app))
  t.same(await events(), ['create', 'resume'], 'history outlives its relationship')
  await pruneStandings(app.database.db, keep(app, { before: addSeconds(app.clock.now(), 1) }))
  t.same(await events(), [])
})

t.test(
  'a relationship that was active before there was a history is taken in from now on',
  async (t) => {
    const { app } = await federated(t)
    await app.database.db.deleteFrom('trust_span').execute()
    await app.database.db.deleteFrom('relationship_standing').execute()
    await app.clock.advance(5000)
    t.match(await keepTrustHistory(app.database.db, app.clock.db), { begun: 1 })
    t.match(await keepTrustHistory(app.database.db, app.clock.db), { begun: 0 })
    const { items } = (await app.call('GET', '/meshes/acme/trust?trustDomain=globex.example')).body
    t.match(items, [
      {
        since: app.clock.now().toISOString(),
        begunBy: { event: 'known' },
        relationship: { consentedBy: null },
      },
    ])
  },
)
