import t from 'tap'
import { expireRelationships } from '../../src/federation/expire-relationships.ts'
import { mergeOwnerData } from '../../src/federation/owner-data.ts'
import { FakePeer } from '../support/fake-peer.ts'
import { type FederationApp, federationApp } from './federation-app.ts'

const GLOBEX = '/meshes/acme/relationships/globex'
const later = (app: FederationApp, seconds: number) =>
  new Date(app.clock.now().getTime() + seconds * 1000).toISOString()
const patch = (app: FederationApp, body: object) =>
  app.call('PATCH', GLOBEX, { body, ifMatch: '*' })

t.test('owner data is kept, changed value by value, and taken away by null', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const made = await app.addPeer(peer, {
    contact: 'noc@globex.example',
    note: 'pilot',
    labels: { tier: 'gold', 'globex.example/owner': 'payments team' },
    reviewAt: later(app, 3600),
    expiresAt: later(app, 7200),
  })
  t.equal(made.status, 201)
  t.match(made.body, {
    contact: 'noc@globex.example',
    labels: { 'globex.example/owner': 'payments team', tier: 'gold' },
    reviewAt: later(app, 3600),
    expiresAt: later(app, 7200),
  })
  const changed = await patch(app, {
    labels: { tier: null, region: 'eu' },
    expiresAt: null,
    contact: 'duty@globex.example',
  })
  t.same(changed.body.labels, { 'globex.example/owner': 'payments team', region: 'eu' })
  t.match(changed.body, { expiresAt: null, contact: 'duty@globex.example', note: 'pilot' })
  t.same((await patch(app, { labels: null })).body.labels, {})
  const audits = await app.database.db
    .selectFrom('audit_record')
    .select('body')
    .where('action', '=', 'relationship.update')
    .execute()
  const [first] = audits.map(({ body }) => JSON.parse(Buffer.from(body).toString()))
  t.match(first.body.before, { contact: 'noc@globex.example', labels: { tier: 'gold' } })
})

t.test(
  'an expiry that is not ahead is refused with the time found and what ends it now',
  async (t) => {
    const app = await federationApp(t)
    const peer = await FakePeer.open(t, 'globex.example')
    const past = later(app, 0)
    t.match((await app.addPeer(peer, { expiresAt: past })).body, {
      status: 422,
      code: 'RELATIONSHIP_INVALID',
      detail: /is not ahead; it is/,
      errors: [{ pointer: '/expiresAt' }],
      next: 'to end the relationship now: entente federation terminate NAME',
    })
    await app.addPeer(peer, { expiresAt: later(app, 60) })
    t.equal((await patch(app, { expiresAt: past })).status, 422)
    await app.clock.advance(120_000)
    t.equal((await patch(app, { note: 'late' })).status, 200, 'other changes still go')
  },
)

t.test('labels have the keys of Kubernetes', async (t) => {
  const now = new Date()
  const of = (labels: Record<string, string>) => mergeOwnerData({ labels }, { now }).labels
  for (const key of ['a', 'A.b-c_d', 'x'.repeat(63), 'example.com/tier', '0/0']) {
    t.ok(of({ [key]: '' }).has(key), key)
  }
  for (const key of [
    '',
    '-a',
    'a-',
    'x'.repeat(64),
    'A.com/x',
    'a/b/c',
    '/x',
    'x/',
    'ä',
    '__proto__',
  ]) {
    t.throws(
      () => of(JSON.parse(`{${JSON.stringify(key)}: "v"}`)),
      { code: 'RELATIONSHIP_INVALID' },
      key,
    )
  }
  t.throws(() => of({ a: 'x'.repeat(256) }), /256 characters, at most 255/)
  const many = Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`l${index}`, 'v']))
  t.throws(() => of(many), /33 labels, at most 32/)
})

const expire = (app: FederationApp) =>
  expireRelationships({
    db: app.database.db,
    now: app.clock.db,
    dependants: [],
    onEnded: ({ meshId }) => app.peerBundles.invalidate(meshId),
  })

t.test('a relationship ends when its time is up, audited as the act of a timer', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer, { expiresAt: later(app, 90) })
  await app.poll()
  t.equal(await expire(app), 0)
  t.equal((await app.show()).state, 'active')
  await app.clock.advance(90_000)
  t.equal(await expire(app), 1)
  t.equal(await expire(app), 0, 'once')
  const ended = await app.show()
  t.match(ended, { state: 'terminated', standingReason: /it was made to end at 2/, health: null })
  t.equal((await app.peerBundles.of(app.meshId)).size, 0)
  const audits = await app.database.db
    .selectFrom('audit_record')
    .select(['actor', 'object'])
    .where('action', '=', 'relationship.expire')
    .execute()
  t.same(audits, [{ actor: 'timer:relationship-expiry', object: 'relationship/globex' }])
})

t.test('the first bundle that counted is pinned, and stays when a newer one arrives', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  t.equal(
    (await app.show()).domains[0]?.firstBundleDigest,
    null,
    'a bootstrap bundle is not counted',
  )
  await app.poll()
  const [first] = (await app.show()).domains
  t.equal(first?.firstBundleDigest, first?.bundle?.digest)
  peer.document = peer.bundle(2n)
  await app.pollLater()
  const [second] = (await app.show()).domains
  t.not(second?.bundle?.digest, first?.bundle?.digest)
  t.equal(second?.firstBundleDigest, first?.firstBundleDigest)
})
