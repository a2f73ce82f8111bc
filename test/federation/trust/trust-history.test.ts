import t from 'tap'
import { publishBundle } from '../../../src/bundle/publish.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { readDocument } from '../../../src/federation/poll/accept-bundle.ts'
import {
  type TrustedAuthorityView,
  type TrustView,
} from '../../../src/federation/trust/trust-api.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { bundleOf, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { makeMesh, testKeyring } from '../../support/meshes.ts'
import { type FederationApp, federationApp } from '../federation-app.ts'

const PATH = '/meshes/acme/relationships'
const TRUST = '/meshes/acme/trust'

const federated = async (t: Parameters<typeof federationApp>[0], change: object = {}) => {
  const app = await federationApp(t)
  const began = app.clock.now()
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer, change)
  await app.clock.advance(1000)
  await app.poll()
  return { app, peer, began }
}
const trust = async (app: FederationApp, at?: Date): Promise<TrustView> => {
  const query = at === undefined ? '' : `?at=${encodeURIComponent(at.toISOString())}`
  const { status, body } = await app.call('GET', `${TRUST}${query}`)
  if (status !== 200) throw new Error(JSON.stringify(body))
  return body
}
const ofPeers = ({ items }: TrustView): TrustedAuthorityView[] =>
  items.filter(({ whose }) => whose === 'peer')
const named = (view: TrustView): string[] =>
  ofPeers(view)
    .map(({ certificateSha256 }) => certificateSha256 ?? '')
    .toSorted()
const fingerprint = async (root: FakeAuthority): Promise<string> =>
  Buffer.from(await crypto.subtle.digest('SHA-256', new Uint8Array(root.der))).toString('hex')
const act = async (app: FederationApp, what: string) => {
  const { version } = await app.show()
  await app.clock.advance(1000)
  const answer = await app.call('POST', `${PATH}/globex/${what}`, {
    body: {},
    ifMatch: `"v${version}"`,
  })
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body))
  return app.clock.now()
}

t.test('now: own and foreign authorities with fingerprints, since when, and why', async (t) => {
  const { app, peer, began } = await federated(t)
  const { at, completeSince, items, nextCursor } = await trust(app)
  t.equal(at, app.clock.now().toISOString())
  t.equal(completeSince, began.toISOString())
  t.equal(nextCursor, null)
  const own = items.filter(({ whose }) => whose === 'own')
  t.match(own, [
    { trustDomain: 'acme.example', kind: 'jwt', certificateSha256: null, relationship: null },
    {
      trustDomain: 'acme.example',
      kind: 'x509',
      since: began.toISOString(),
      isWithinValidity: true,
      revision: { n: null, sequence: /^\d+$/, verifiedBy: null },
      why: /^a trust domain of this mesh, published with sequence \d+: /,
    },
  ])
  t.match(ofPeers({ items } as TrustView), [
    {
      trustDomain: 'globex.example',
      kind: 'x509',
      certificateSha256: await fingerprint(peer.root),
      subject: /^O=globex\.example, CN=root/,
      since: app.clock.now().toISOString(),
      revision: { n: '2', sequence: '1', approvedBy: null, verifiedBy: { how: 'fetch' } },
      relationship: { name: 'globex', consentedBy: 'tester', theirConsent: 'assumed' },
      begunBy: { event: 'relationship.activate', actor: 'timer:federation' },
      why: /^relationship globex was active, consented to by tester.*; revision 2 was fetched from https:/,
    },
  ])
})

t.test('a moment is answered as it was: before, within and after a rotation', async (t) => {
  const { app, peer, began } = await federated(t)
  const first = app.clock.now()
  const fresh = await FakeAuthority.root('globex.example')
  peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
  await app.pollLater()
  const both = app.clock.now()
  const [old, now] = [await trust(app, began), await trust(app)]
  t.same(named(old), [], 'nothing of a peer that no poll had reached')
  t.equal(old.items.length, 2, 'our own were there')
  t.same(named(await trust(app, first)).length, 1)
  t.same(named(await trust(app, new Date(both.getTime() - 1))).length, 1, 'to the millisecond')
  t.same(named(await trust(app, both)).length, 2)
  t.match(ofPeers(now).find(({ revision }) => revision?.n === '3')?.since, both.toISOString())
})

t.test(
  'suspension, resumption and the end each have their moment; deletion keeps them',
  async (t) => {
    const { app, peer } = await federated(t)
    const root = await fingerprint(peer.root)
    const active = app.clock.now()
    const suspended = await act(app, 'suspend')
    const resumed = await act(app, 'resume')
    const over = await act(app, 'terminate')
    const { version } = await app.show()
    await app.call('DELETE', `${PATH}/globex`, { ifMatch: `"v${version}"` })
    await app.clock.advance(5000)
    t.same(named(await trust(app, active)), [root])
    t.same(named(await trust(app, suspended)), [])
    const again = await trust(app, resumed)
    t.same(named(again), [root])
    t.match(ofPeers(again), [
      {
        since: resumed.toISOString(),
        begunBy: { event: 'relationship.resume', actor: 'tester' },
        relationship: { name: 'globex', consentedBy: 'tester' },
        revision: { n: '2', verifiedBy: { how: 'fetch', presentedIds: [peer.endpointId] } },
      },
    ])
    t.same(named(await trust(app, over)), [])
    t.same(named(await trust(app)), [])
  },
)

t.test('an approved document tells who approved it; one that waits is not trusted', async (t) => {
  const { app, peer } = await federated(t, { changePolicy: 'approve' })
  const fresh = await FakeAuthority.root('globex.example')
  peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
  await app.pollLater()
  t.same(named(await trust(app)), [await fingerprint(peer.root)])
  const digest = (await app.show()).domains[0]?.waiting?.digest
  await app.clock.advance(1000)
  await app.call('POST', `${PATH}/globex/bundles/globex.example/revisions/approve`, {
    body: { digest },
  })
  const added = ofPeers(await trust(app)).find(({ revision }) => revision?.n === '3')
  t.match(added, {
    certificateSha256: await fingerprint(fresh),
    since: app.clock.now().toISOString(),
    begunBy: { event: 'peer-bundle.approve', actor: 'tester' },
    revision: { approvedBy: 'tester' },
    why: /approved by tester/,
  })
})

t.test('a moment in the future, and what is no moment, are refused', async (t) => {
  const { app } = await federated(t)
  const later = new Date(app.clock.now().getTime() + 1).toISOString()
  t.match(await app.call('GET', `${TRUST}?at=${later}`), {
    status: 400,
    body: { detail: /trust can be told up to now/ },
  })
  t.equal((await app.call('GET', `${TRUST}?at=yesterday`)).status, 400)
  t.equal((await app.call('GET', `${TRUST}?cursor=abc`)).status, 400)
  t.equal((await app.call('GET', '/meshes/other/trust')).status, 404)
})

t.test('pages hold every authority once, all of the first page’s moment', async (t) => {
  const { app, peer } = await federated(t)
  const more = await Promise.all([1, 2, 3].map(() => FakeAuthority.root('globex.example')))
  peer.document = peer.bundle(2n, { roots: [peer.root, ...more] })
  await app.pollLater()
  const whole = await trust(app)
  const seen: TrustedAuthorityView[] = []
  let next: string | null = ''
  while (next !== null) {
    const cursor: string = next === '' ? '' : `&cursor=${next}`
    const { body } = await app.call('GET', `${TRUST}?limit=1${cursor}`)
    seen.push(...body.items)
    t.equal(body.at, whole.at)
    next = body.nextCursor
    await app.clock.advance(1000)
  }
  t.same(seen, whole.items)
  const only = await app.call('GET', `${TRUST}?trustDomain=globex.example`)
  t.equal(only.body.items.length, 4)
})

t.test(
  'a peer of this service is trusted for what it published at each moment, also once it is gone',
  async (t) => {
    const app = await federationApp(t)
    const { db } = app.database
    await makeMesh(db, testKeyring(), {
      meshId: 'globex',
      bundleHost: 'globex.localhost',
      now: app.clock.now(),
    })
    const local = (mesh: string, other: string) =>
      app.call('POST', `/meshes/${mesh}/relationships`, {
        body: { name: other, domains: [{ trustDomain: `${other}.example`, source: 'local' }] },
      })
    const keys = async (at: Date) =>
      ofPeers(await trust(app, at))
        .map(({ kind, since, begunBy }) => `${kind} ${since} ${begunBy.event}`)
        .toSorted()
    const pass = async () => {
      await app.clock.advance(60_000)
      return app.clock.now()
    }
    await local('acme', 'globex')
    const active = await pass()
    await local('globex', 'acme')
    const published = await pass()
    const current = await db
      .selectFrom('bundle_revision')
      .select('document')
      .where('trust_domain', '=', parseTrustDomain('globex.example'))
      .executeTakeFirstOrThrow()
    const { bundle } = readDocument(parseTrustDomain('globex.example'), current.document)
    const extra = await FakeAuthority.root('globex.example')
    const more = readDocument(
      bundle.trustDomain,
      bundleOf(bundle.trustDomain, { sequence: 1n, hint: 300, roots: [extra] }),
    )
    await inTransaction(db, (trx) =>
      publishBundle(trx, parseMeshId('globex'), {
        trustDomain: bundle.trustDomain,
        x509Authorities: [...bundle.x509Authorities, ...more.bundle.x509Authorities],
        jwtAuthorities: [],
        hintSeconds: 300,
        cause: 'a test',
        context: { actor: 'test', now: published },
      }),
    )
    const over = await pass()
    const [root, jwt] = [
      `x509 ${active.toISOString()} relationship.peer-consents`,
      `jwt ${active.toISOString()} relationship.peer-consents`,
    ] as const
    const added = `x509 ${published.toISOString()} bundle.publish`
    const check = async (when: string) => {
      t.same(await keys(new Date(active.getTime() - 1)), [], when)
      t.same(await keys(active), [jwt, root], when)
      t.same(await keys(published), [root, added].toSorted(), when)
      t.same(await keys(new Date(over.getTime() - 1)), [root, added].toSorted(), when)
    }
    await check('while it is trusted')
    await app.call('POST', '/meshes/acme/relationships/globex/terminate', {
      body: {},
      ifMatch: '*',
    })
    t.same(await keys(over), [])
    await check('once the relationship ended')
    await db.deleteFrom('mesh').where('mesh_id', '=', parseMeshId('globex')).execute()
    await check('once the mesh is deleted')
  },
)
