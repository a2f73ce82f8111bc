import t from 'tap'
import { computeForecasts } from '../../../src/federation/alert/compute-forecasts.ts'
import { measureTrust } from '../../../src/federation/alert/measure-trust.ts'
import { FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { federationApp } from '../federation-app.ts'

const START = Math.floor((performance.timeOrigin + performance.now()) / 1000) * 1000
const inHours = (hours: number): Date => new Date(START + hours * 3_600_000)

t.test('a relationship shows when trust breaks, why, and every other end', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const next = await FakeAuthority.root('globex.example', { notAfter: inHours(50) })
  peer.root = await FakeAuthority.root('globex.example', { notAfter: inHours(20) })
  await peer.presentId(peer.endpointId)
  peer.document = peer.bundle(1n, { roots: [peer.root, next] })
  t.equal((await app.show()).trustBreaksAt, undefined, 'there is none yet')
  const made = await app.addPeer(peer)
  t.equal(made.body.trustBreaksAt, inHours(50).toISOString(), 'already by the bundle given by hand')
  await app.poll()
  const { db } = app.database
  await db
    .updateTable('relationship')
    .set({ expires_at: inHours(30) })
    .execute()
  const shown = await app.show()
  t.equal(shown.trustBreaksAt, inHours(30).toISOString())
  t.match(shown.trustBreaksBecause, /expires and is terminated/)
  t.match(shown.forecast, [
    { reason: 'consent-expires', stops: 'both', trustDomain: null },
    { reason: 'peer-authorities-end', stops: 'we', trustDomain: 'globex.example' },
  ])
  t.match(shown.domains, [
    {
      bundle: {
        validationEndsAt: inHours(50).toISOString(),
        firstAuthorityEndsAt: inHours(20).toISOString(),
      },
    },
  ])
})

t.test(
  'what the peer last fetched of ours counts, and a key that it lacks breaks at once',
  async (t) => {
    const app = await federationApp(t)
    const peer = await FakePeer.open(t, 'globex.example')
    await app.addPeer(peer)
    await app.poll()
    const { db } = app.database
    t.notOk(
      (await app.show()).forecast.some(({ stops }) => stops === 'they'),
      'it never fetched',
    )
    const revision = await db
      .selectFrom('bundle_revision')
      .select('sequence')
      .executeTakeFirstOrThrow()
    await db.updateTable('reader').set({ sequence: revision.sequence, fetches: 3n }).execute()
    const held = (await app.show()).forecast.find(({ stops }) => stops === 'they')
    t.match(held, { reason: 'own-authorities-end', trustDomain: 'acme.example' })
    const activatedAt = app.clock.now()
    await db
      .updateTable('authority')
      .set({ published_sequence: revision.sequence + 1n, activated_at: activatedAt })
      .where('kind', '=', 'x509_root')
      .execute()
    t.match((await app.show()).forecast[0], {
      reason: 'own-authority-unknown',
      at: activatedAt.toISOString(),
    })
  },
)

t.test('distrusted keys and unchanged bundles: the ends are written down once', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  const { db } = app.database
  const now = app.clock.now()
  t.equal(await computeForecasts(db, now), 1)
  t.equal(await computeForecasts(db, now), 0)
  await db
    .insertInto('change')
    .values({ mesh_id: 'acme', topic: 'distrust', revision: 9n })
    .onConflict((conflict) => conflict.columns(['mesh_id', 'topic']).doUpdateSet({ revision: 9n }))
    .execute()
  t.equal(await computeForecasts(db, now), 1)
  await measureTrust(db, app.metrics, app.clock.db)
  const text = await app.metrics.registry.metrics()
  t.match(text, /entente_trust_breaks_seconds\{mesh="acme",relationship="globex"\} \d{6,}/)
  t.match(text, /entente_mesh_trust_breaks_seconds\{mesh="acme"\} \d{6,}/)
  t.match(text, /entente_peer_bundle_age_seconds\{mesh="acme"\} 0/)
  t.match(text, /entente_poll_lag_seconds 0/)
  await app.clock.advance(1_000_000)
  await measureTrust(db, app.metrics, app.clock.db)
  t.match(await app.metrics.registry.metrics(), /entente_poll_lag_seconds 7\d\d/)
  await db.deleteFrom('change').where('topic', '=', 'distrust').execute()
})
