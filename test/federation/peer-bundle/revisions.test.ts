import t from 'tap'
import { addSeconds } from '../../../src/clock.ts'
import { type MeshId } from '../../../src/db/ids.ts'
import { prunePeerRevisions } from '../../../src/federation/peer-bundle/prune-revisions.ts'
import { pruneRevisions } from '../../../src/federation/peer-bundle/history-store.ts'
import { insertRevision } from '../../../src/federation/peer-bundle/revision-store.ts'
import { type TrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { FakePeer } from '../../support/fake-peer.ts'
import { federationApp, type FederationApp } from '../federation-app.ts'

const DAY = 24 * 3600

/** A relationship with made-up history: `count` revisions, the newest in use, one each `everySeconds`. */
const withHistory = async (
  t: Parameters<typeof federationApp>[0],
  about: { count: number; everySeconds: number; bytes?: number; manualFrom?: number },
) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  const { db } = app.database
  const row = await db.selectFrom('relationship').select('id').executeTakeFirstOrThrow()
  await db.deleteFrom('peer_bundle_revision').execute()
  const key = { relationshipId: row.id, trustDomain: 'globex.example' as TrustDomain }
  for (let n = 1; n <= about.count; n += 1) {
    const age = (about.count - n) * about.everySeconds
    await insertRevision(db, app.meshId, {
      key,
      revision: {
        n: BigInt(n),
        sequence: BigInt(n),
        hintSeconds: 300,
        document: new Uint8Array(about.bytes ?? 10),
        digest: new Uint8Array(32),
        receivedAt: addSeconds(app.clock.now(), -age),
        verifiedBy: { how: 'hand', actor: 'test' },
        origin: about.manualFrom !== undefined && n >= about.manualFrom ? 'manual' : 'fetched',
        disposition: n === about.count ? 'current' : 'superseded',
        reason: undefined,
      },
    })
  }
  return app
}

const numbers = async (app: FederationApp) => {
  const rows = await app.database.db
    .selectFrom('peer_bundle_revision')
    .select('n')
    .where('mesh_id', '=', 'acme' as MeshId)
    .orderBy('n')
    .execute()
  return rows.map(({ n }) => Number(n))
}

t.test('history is kept for 90 days, the bundle in use for ever', async (t) => {
  const app = await withHistory(t, { count: 5, everySeconds: 30 * DAY })
  t.equal(await prunePeerRevisions(app.database.db, app.clock.db), 1n)
  t.same(await numbers(app), [2, 3, 4, 5])
  await app.clock.advance(400 * DAY * 1000)
  await prunePeerRevisions(app.database.db, app.clock.db)
  t.same(await numbers(app), [5])
})

t.test(
  'the newest fetched document stays although one set by hand is in use: it orders the next',
  async (t) => {
    const app = await withHistory(t, { count: 4, everySeconds: 100 * DAY, manualFrom: 4 })
    await app.clock.advance(400 * DAY * 1000)
    await prunePeerRevisions(app.database.db, app.clock.db)
    t.same(await numbers(app), [3, 4])
  },
)

t.test('a relationship keeps so many revisions and so many bytes, the newest', async (t) => {
  const app = await withHistory(t, { count: 8, everySeconds: 60, bytes: 1000 })
  const before = addSeconds(app.clock.now(), -DAY)
  await pruneRevisions(app.database.db, { before, maxRevisions: 6, maxBytes: 1_000_000 })
  t.same(await numbers(app), [3, 4, 5, 6, 7, 8])
  await pruneRevisions(app.database.db, { before, maxRevisions: 6, maxBytes: 3000 })
  t.same(await numbers(app), [6, 7, 8])
})

t.test('a year of a peer that changes daily levels off', async (t) => {
  const app = await withHistory(t, { count: 365, everySeconds: DAY })
  await prunePeerRevisions(app.database.db, app.clock.db)
  t.equal((await numbers(app)).length, 91)
})
