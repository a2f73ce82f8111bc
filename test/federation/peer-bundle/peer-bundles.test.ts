import t from 'tap'
import { ServiceError } from '../../../src/errors.ts'
import { type Db } from '../../../src/db/schema.ts'
import { PeerBundles } from '../../../src/federation/peer-bundle/peer-bundles.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { behave, FakePeer } from '../../support/fake-peer.ts'
import { federationApp } from '../federation-app.ts'
import { until } from '../../support/until.ts'

t.test(
  'only active relationships have bundles in force; the others are named with the reason',
  async (t) => {
    const app = await federationApp(t)
    const peer = await FakePeer.open(t, 'globex.example')
    const silent = await FakePeer.open(t, 'initech.example')
    silent.behaviour = behave.answer(500)
    await app.addPeer(peer)
    await app.addPeer(silent, { name: 'initech' })
    t.equal((await app.peerBundles.of(app.meshId)).size, 0)
    await app.poll()
    const bundles = await until(
      () => app.peerBundles.of(app.meshId),
      ({ size }) => size === 1,
    )
    t.match(bundles.get(parseTrustDomain('globex.example')), {
      trustDomain: 'globex.example',
      relationship: 'globex',
      sequence: 1n,
    })
    t.same(await app.peerBundles.missing(app.meshId), [
      {
        relationship: 'initech',
        trustDomain: 'initech.example',
        reason: 'relationship initech waits for a first verified bundle of initech.example',
      },
    ])
  },
)

t.test('another replica learns of a change by itself', async (t) => {
  const app = await federationApp(t)
  const other = await federationApp(t, { database: app.database, clock: app.clock, owner: 'b' })
  const peer = await FakePeer.open(t, 'globex.example')
  t.equal((await other.peerBundles.of(app.meshId)).size, 0)
  await app.addPeer(peer)
  await app.poll()
  t.equal(
    (
      await until(
        () => other.peerBundles.of(app.meshId),
        ({ size }) => size === 1,
      )
    ).size,
    1,
  )
  await app.call('POST', '/meshes/acme/relationships/globex/terminate', { ifMatch: '*' })
  t.equal((await app.peerBundles.of(app.meshId)).size, 0, 'at once where it was made')
  t.equal(
    (
      await until(
        () => other.peerBundles.of(app.meshId),
        ({ size }) => size === 0,
      )
    ).size,
    0,
  )
})

t.test('while the database is away what was last known stays in force', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  let away = false
  const db: Db = new Proxy(app.database.db, {
    get: (target, name) => {
      if (away) throw new ServiceError('DATABASE_UNAVAILABLE', 'the database is away')
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? (member.bind(target) as unknown) : member
    },
  })
  const bundles = new PeerBundles(db, app.changes)
  t.equal((await bundles.of(app.meshId)).size, 1)
  away = true
  t.equal((await bundles.of(app.meshId)).size, 1, 'from memory')
  bundles.invalidate(app.meshId)
  t.equal((await bundles.of(app.meshId)).size, 1, 'and after a change that cannot be read')
  await t.rejects(new PeerBundles(db, app.changes).of(app.meshId), { code: 'DATABASE_UNAVAILABLE' })
  away = false
  await app.call('POST', '/meshes/acme/relationships/globex/terminate', { ifMatch: '*' })
  t.equal(
    (
      await until(
        () => bundles.of(app.meshId),
        ({ size }) => size === 0,
      )
    ).size,
    0,
  )
})
