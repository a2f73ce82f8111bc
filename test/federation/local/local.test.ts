import t, { type Test } from 'tap'
import { publishBundle } from '../../../src/bundle/publish.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { FakePeer } from '../../support/fake-peer.ts'
import { deleteMesh } from '../../../src/mesh/delete-mesh.ts'
import { endWithMesh } from '../../../src/federation/end-with-mesh.ts'
import { makeMesh, testKeyring } from '../../support/meshes.ts'
import { type Answer, type FederationApp, federationApp, spiffePeer } from '../federation-app.ts'
import { untilTrue } from '../../support/until.ts'

const GLOBEX = parseMeshId('globex')

async function twoMeshes(t: Test) {
  const app = await federationApp(t)
  const now = app.clock.now()
  await makeMesh(app.database.db, testKeyring(), {
    meshId: 'globex',
    bundleHost: 'globex.localhost',
    now,
  })
  const local = (mesh: string, other: string, more: object = {}): Promise<Answer> =>
    app.call('POST', `/meshes/${mesh}/relationships`, {
      body: {
        name: other,
        domains: [{ trustDomain: `${other}.example`, source: 'local' }],
        ...more,
      },
    })
  const act = (mesh: string, name: string, what: string) =>
    app.call('POST', `/meshes/${mesh}/relationships/${name}/${what}`, { body: {}, ifMatch: '*' })
  const show = async (mesh: string, name: string) =>
    (await app.call('GET', `/meshes/${mesh}/relationships/${name}`)).body
  return { app, local, act, show }
}

const trusted = async (app: FederationApp, mesh: string) => [
  ...(await app.peerBundles.of(parseMeshId(mesh))).keys(),
]

t.test(
  'two meshes of one service federate by one relationship each, with nothing stored or fetched',
  async (t) => {
    const { app, local, show } = await twoMeshes(t)
    const first = await local('acme', 'globex')
    t.match(first.body, {
      state: 'pending',
      ourConsent: 'given',
      theirConsent: 'pending',
      waitingFor: ["the peer's consent"],
      readerUrl: null,
      domains: [{ source: 'local', bundle: null, poll: null }],
    })
    t.match(first.body.next.join('\n'), /the other mesh consents by: entente federation add/)
    t.same(await trusted(app, 'acme'), [])
    t.match((await local('globex', 'acme')).body, { state: 'active', theirConsent: 'given' })
    t.match(await show('acme', 'globex'), {
      state: 'active',
      theirConsent: 'given',
      health: 'ok',
      domains: [{ bundle: { origin: 'published', x509Authorities: 1, ageSeconds: 0 }, poll: null }],
    })
    await untilTrue(async () => (await trusted(app, 'acme')).length === 1)
    t.same(await trusted(app, 'acme'), ['globex.example'])
    t.same(await trusted(app, 'globex'), ['acme.example'])
    const stored = await app.database.db.selectFrom('peer_bundle_revision').selectAll().execute()
    t.same(stored, [])
  },
)

t.test('what the peer publishes next is what is trusted next', async (t) => {
  const { app, local } = await twoMeshes(t)
  await local('acme', 'globex')
  await local('globex', 'acme')
  await untilTrue(async () => (await trusted(app, 'acme')).length === 1)
  const sequence = async () => [...(await app.peerBundles.of(app.meshId)).values()][0]?.sequence
  const before = await sequence()
  await inTransaction(app.database.db, (trx) =>
    publishBundle(trx, GLOBEX, {
      trustDomain: parseTrustDomain('globex.example'),
      x509Authorities: [],
      jwtAuthorities: [],
      hintSeconds: 300,
      cause: 'a test',
      context: { actor: 'test', now: app.clock.now() },
    }),
  )
  await untilTrue(async () => (await sequence()) !== before)
})

for (const what of ['withdraw', 'terminate'] as const) {
  t.test(`to ${what} on one side suspends the other in the same transaction`, async (t) => {
    const { app, local, act, show } = await twoMeshes(t)
    await local('acme', 'globex')
    await local('globex', 'acme')
    t.equal((await act('globex', 'acme', what)).status, 200)
    t.match(await show('acme', 'globex'), {
      state: 'suspended',
      ourConsent: 'given',
      theirConsent: 'withdrawn',
      standingReason: 'the peer withdrew its consent or ended',
      waitingFor: ["the peer's consent, which it withdrew"],
    })
    await untilTrue(async () => (await trusted(app, 'acme')).length === 0)
    const audits = await app.database.db
      .selectFrom('audit_record')
      .select('actor')
      .where('mesh_id', '=', app.meshId)
      .where('action', '=', 'relationship.peer-withdraws')
      .execute()
    t.same(audits, [{ actor: 'peer:globex.example' }], 'who it was there is not told here')
    if (what === 'withdraw') t.equal((await act('globex', 'acme', 'approve')).status, 200)
    else {
      await app.call('DELETE', '/meshes/globex/relationships/acme', { ifMatch: '*' })
      t.equal((await local('globex', 'acme')).status, 201)
    }
    t.match(await show('acme', 'globex'), { state: 'active', theirConsent: 'given' })
  })
}

t.test(
  'what our operator holds back is our own matter and changes nothing on the other side',
  async (t) => {
    const { app, local, act, show } = await twoMeshes(t)
    await local('acme', 'globex')
    await local('globex', 'acme')
    await act('acme', 'globex', 'suspend')
    t.same(await trusted(app, 'acme'), [])
    t.match(await show('globex', 'acme'), { state: 'active' })
  },
)

t.test('two sides that make theirs at the same moment both end up active', async (t) => {
  const { local, show } = await twoMeshes(t)
  await Promise.all([local('acme', 'globex'), local('globex', 'acme')])
  t.equal((await show('acme', 'globex')).state, 'active')
  t.equal((await show('globex', 'acme')).state, 'active')
})

t.test(
  'a trust domain that this service does not publish is refused as anybody else could see it',
  async (t) => {
    const { local } = await twoMeshes(t)
    t.match((await local('acme', 'initech')).body, {
      status: 422,
      code: 'RELATIONSHIP_INVALID',
      detail:
        'this service publishes no bundle of initech.example, so source local has nothing to read',
      errors: [{ pointer: '/domains/0/source' }],
    })
    t.match((await local('acme', 'acme')).body, { code: 'RELATIONSHIP_INVALID' })
  },
)

t.test(
  'FE-44 each mesh is judged for itself: a peer of one is none of the other’s matter',
  async (t) => {
    const { app, local } = await twoMeshes(t)
    await local('acme', 'globex')
    const peer = await FakePeer.open(t, 'globex.example')
    t.match((await app.addPeer(peer, { name: 'again' })).body, { code: 'ALREADY_EXISTS' })
    const own = await app.call('POST', '/meshes/globex/relationships', { body: spiffePeer(peer) })
    t.match(own.body.detail, /is a trust domain of this mesh itself/)
  },
)

t.test('a local relationship has policy auto, no parameters and no bundle to set', async (t) => {
  const { app, local } = await twoMeshes(t)
  t.match((await local('acme', 'globex', { changePolicy: 'approve' })).body, {
    code: 'RELATIONSHIP_INVALID',
    detail: /policy is auto/,
  })
  await local('acme', 'globex')
  const path = '/meshes/acme/relationships/globex'
  const patch = await app.call('PATCH', path, { body: { changePolicy: 'overlap' }, ifMatch: '*' })
  t.match(patch.body.detail, /policy is auto/)
  const set = await app.call('POST', `${path}/bundles/globex.example`, { body: { document: '{}' } })
  t.match(set.body, { code: 'CONFLICT', detail: /is read where this service publishes it/ })
  const domains = [
    { trustDomain: 'globex.example', source: 'https_web', endpointUrl: 'https://g/' },
  ]
  const change = await app.call('POST', `${path}/proposals`, { body: { domains }, ifMatch: '*' })
  t.match(change.body, { code: 'CONFLICT', detail: /no parameters to change/ })
})

t.test('a peer mesh that fetches us over https consents by that too', async (t) => {
  const { app, local, show } = await twoMeshes(t)
  await local('acme', 'globex')
  const peer = await FakePeer.open(t, 'acme.example')
  await app.call('POST', '/meshes/globex/relationships', {
    body: spiffePeer(peer, { name: 'acme' }),
  })
  t.match(await show('acme', 'globex'), { state: 'active', theirConsent: 'given' })
})

t.test('a mesh that is deleted leaves nobody behind who trusts its name', async (t) => {
  const { app, local, show } = await twoMeshes(t)
  await local('acme', 'globex')
  await local('globex', 'acme')
  await untilTrue(async () => (await trusted(app, 'acme')).length === 1)
  const { db } = app.database
  await inTransaction(db, (trx) =>
    deleteMesh(trx, GLOBEX, {
      context: { actor: 'test', now: app.clock.now() },
      dependants: [],
      enders: [endWithMesh],
      force: true,
      dryRun: false,
    }),
  )
  t.match(await show('acme', 'globex'), { state: 'suspended', theirConsent: 'withdrawn' })
  await makeMesh(db, testKeyring(), { meshId: 'globex', bundleHost: 'globex.localhost' })
  await db.updateTable('relationship').set({ state: 'active' }).execute()
  app.peerBundles.invalidate(app.meshId)
  t.same(await trusted(app, 'acme'), [], 'a mesh made again under the same name is another')
})
