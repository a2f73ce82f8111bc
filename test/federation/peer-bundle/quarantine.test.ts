import t from 'tap'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { behave, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { type FederationApp, federationApp } from '../federation-app.ts'

const PATH = '/meshes/acme/relationships'
const REVISIONS = `${PATH}/globex/bundles/globex.example/revisions`
const globex = parseTrustDomain('globex.example')

/** A service that federates with one peer under a policy, polled once. */
const guarded = async (
  t: Parameters<typeof federationApp>[0],
  changePolicy: string,
  change: object = {},
) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const made = await app.addPeer(peer, { changePolicy, ...change })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  await app.poll()
  return { app, peer, fresh: await FakeAuthority.root('globex.example') }
}
const rootsInForce = async (app: FederationApp) => {
  app.peerBundles.invalidate(app.meshId)
  return ((await app.peerBundles.of(app.meshId)).get(globex)?.bundle.x509Authorities ?? []).map(
    ({ certificate }) => Buffer.from(certificate).toString('base64'),
  )
}
const base64 = (...roots: FakeAuthority[]) =>
  roots.map(({ der }) => Buffer.from(der).toString('base64')).toSorted()
const domainOf = async (app: FederationApp) => {
  const [domain] = (await app.show()).domains
  if (domain === undefined) throw new Error('no domain')
  return domain
}
const waitingDigest = async (app: FederationApp): Promise<string> =>
  (await domainOf(app)).waiting?.digest ?? 'nothing waits'
const revisions = async (app: FederationApp) =>
  (await app.call('GET', REVISIONS)).body.items.map(
    ({ n, origin, disposition }: Record<string, string>) => `${n} ${origin} ${disposition}`,
  )
const records = async (app: FederationApp, action: string) =>
  (
    await app.database.db
      .selectFrom('audit_record')
      .select('body')
      .where('action', '=', action)
      .orderBy('id')
      .execute()
  ).map(({ body }) => JSON.parse(new TextDecoder().decode(body)).body)
const decide = (app: FederationApp, to: 'approve' | 'reject', digest: string, query = '') =>
  app.call('POST', `${REVISIONS}/${to}${query}`, { body: { digest } })
const alarms = (app: FederationApp) => app.alarms.list().map(({ code }) => code)

t.test(
  'policy approve: a new root waits, is seen everywhere, and counts once approved',
  async (t) => {
    const { app, peer, fresh } = await guarded(t, 'approve')
    t.equal(
      (await app.show()).state,
      'active',
      'what the bootstrap bundle held was approved with it',
    )
    const old = peer.root
    peer.document = peer.bundle(2n, { roots: [old, fresh] })
    await app.pollLater()
    t.same(await rootsInForce(app), base64(old))
    t.match(await app.show(), {
      state: 'active',
      health: 'quarantined',
      healthReason:
        /revision 3 .* waits for a decision: policy approve holds back 1 X\.509 authority/,
      wayOut:
        /entente federation bundle approve globex --trust-domain globex\.example --digest [0-9a-f]{64}/,
      domains: [{ bundle: { sequence: '1' }, waiting: { n: '3', sequence: '2' } }],
    })
    t.same(alarms(app), ['peer.quarantined'])
    t.match(await app.metrics.registry.metrics(), /entente_polls_total\{outcome="quarantined"\} 1/)
    const digest = await waitingDigest(app)
    const dry = await decide(app, 'approve', digest, '?dryRun=true')
    t.match(dry.body, { added: [{ kind: 'x509', isSameKey: false }], kept: [{}], removed: [] })
    t.same(await rootsInForce(app), base64(old), 'a dry run changes nothing')
    const approved = await decide(app, 'approve', digest)
    t.match(approved, { status: 200, body: { n: '3', decision: 'approve', activated: false } })
    t.same(await rootsInForce(app), base64(old, fresh))
    t.match(await records(app, 'peer-bundle.approve'), [
      { digest, added: [/^x509 sha256:/], removed: [], verifiedBy: { how: 'fetch' } },
    ])
    await app.poll()
    t.match(await app.show(), {
      health: 'ok',
      domains: [{ waiting: null, bundle: { sequence: '2' } }],
    })
    t.same(alarms(app), [])
    const [kept] = (await app.call('GET', REVISIONS)).body.items
    t.match(kept, { n: '3', disposition: 'current', decidedBy: 'tester', retiredAt: null })
  },
)

t.test('the same quarantined document served again writes nothing', async (t) => {
  const { app, peer, fresh } = await guarded(t, 'approve')
  const etagInUse = peer.requests.at(-1)?.etag
  t.equal(etagInUse, undefined)
  peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
  await app.pollLater()
  const before = await revisions(app)
  const confirmed = peer.requests.at(-1)?.etag
  for (let round = 0; round < 3; round += 1) await app.pollLater()
  t.equal(peer.requests.at(-1)?.etag, confirmed, 'only the ETag of the document in use is sent')
  t.same(await revisions(app), before)
  t.equal((await records(app, 'peer-bundle.quarantine')).length, 1)
  t.match(await app.show(), { health: 'quarantined', domains: [{ poll: { failures: 0 } }] })
})

t.test('BU-17 what a waiting document no longer has is gone at once', async (t) => {
  const { app, peer, fresh } = await guarded(t, 'approve')
  const [first, second] = [peer.root, await FakeAuthority.root('globex.example')]
  peer.document = peer.bundle(2n, { roots: [first, second] })
  await app.pollLater()
  await decide(app, 'approve', await waitingDigest(app))
  await app.poll()
  peer.document = peer.bundle(3n, { roots: [first, fresh] })
  await app.pollLater()
  t.same(await rootsInForce(app), base64(first))
  t.same(await revisions(app), [
    '5 reduced current',
    '4 fetched quarantined',
    '3 fetched superseded',
    '2 fetched superseded',
    '1 manual superseded',
  ])
  const [, record] = await records(app, 'peer-bundle.quarantine')
  t.match(record, { heldBack: [/^x509/], dropped: [/^x509/], kept: 1 })
  await app.pollLater()
  t.equal(peer.requests.at(-1)?.etag, undefined, 'a reduced bundle has no ETag of the peer')
  t.equal((await revisions(app)).length, 5)
  const diff = await app.call('GET', `${REVISIONS}/diff?from=3&to=quarantined`)
  t.match(diff.body, { from: { n: '3' }, to: { n: '4' }, added: [{}], removed: [{}], kept: [{}] })
  await decide(app, 'approve', await waitingDigest(app))
  t.same((await rootsInForce(app)).toSorted(), base64(first, fresh))
})

t.test(
  'approval names the document that was looked at; another one is refused with both digests',
  async (t) => {
    const { app, peer, fresh } = await guarded(t, 'approve')
    peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
    await app.pollLater()
    const seen = await waitingDigest(app)
    const other = await FakeAuthority.root('globex.example')
    peer.document = peer.bundle(3n, { roots: [peer.root, other] })
    await app.pollLater()
    const newer = await waitingDigest(app)
    const refused = await decide(app, 'approve', seen)
    t.equal(refused.status, 412)
    t.match(refused.body.detail, new RegExp(`${seen}.*${newer}`))
    t.same(await revisions(app), [
      '4 fetched quarantined',
      '3 fetched rejected',
      '2 fetched current',
      '1 manual superseded',
    ])
    const [, replaced] = (await app.call('GET', REVISIONS)).body.items
    t.match(replaced, { reason: 'replaced by revision 4', decidedBy: null })
    t.equal((await app.call('POST', `${REVISIONS}/approve`, { body: {} })).status, 400)
    const stale = { body: { digest: newer }, ifMatch: '"v99"' }
    t.equal((await app.call('POST', `${REVISIONS}/approve`, stale)).status, 412)
    t.equal((await decide(app, 'approve', newer)).status, 200)
    t.equal((await decide(app, 'approve', newer)).status, 409, 'nothing waits any more')
  },
)

t.test(
  'what was rejected stays rejected while the peer serves it, and can be taken back',
  async (t) => {
    const { app, peer, fresh } = await guarded(t, 'approve')
    peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
    await app.pollLater()
    const digest = await waitingDigest(app)
    t.match((await decide(app, 'reject', digest)).body, { decision: 'reject', activated: false })
    t.match(await records(app, 'peer-bundle.reject'), [{ digest }])
    await app.poll()
    await app.pollLater()
    t.match(await app.show(), { health: 'ok', domains: [{ waiting: null }] })
    t.same(alarms(app), [])
    t.equal((await revisions(app)).length, 3)
    const refreshed = await app.call('POST', `${PATH}/globex/refresh`, { body: {} })
    t.match(refreshed.body.outcomes, [{ outcome: 'unchanged', warnings: [/was rejected/] }])
    t.same(await rootsInForce(app), base64(peer.root))
    t.equal((await decide(app, 'approve', digest)).status, 200)
    t.same((await rootsInForce(app)).toSorted(), base64(peer.root, fresh))
  },
)

t.test('https_web under approve: the first fetch waits, and its approval activates', async (t) => {
  const web = await FakeAuthority.root('web-ca.example')
  const app = await federationApp(t, { webRoots: [web] })
  const peer = await FakePeer.open(t, 'globex.example')
  peer.present(await web.issue({ dnsNames: ['localhost'] }))
  const domains = [{ trustDomain: 'globex.example', source: 'https_web', endpointUrl: peer.url }]
  await app.call('POST', PATH, { body: { name: 'globex', domains, changePolicy: 'approve' } })
  await app.poll()
  t.match(await app.show(), {
    state: 'pending',
    health: 'quarantined',
    waitingFor: [/a first verified bundle of globex\.example/],
    domains: [{ bundle: null }],
  })
  const diff = await app.call('GET', `${REVISIONS}/diff`)
  t.match(diff.body, {
    from: null,
    added: [{ kind: 'x509' }],
    kept: [],
    next: [/approve/, /reject/],
  })
  const approved = await decide(app, 'approve', await waitingDigest(app))
  t.match(approved.body, { activated: true, relationship: { state: 'active', waitingFor: [] } })
  t.same(await rootsInForce(app), base64(peer.root))
})

t.test('a first fetch with more than the bootstrap bundle held waits as well', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer, { changePolicy: 'approve' })
  peer.document = peer.bundle(2n, {
    roots: [peer.root, await FakeAuthority.root('globex.example')],
  })
  await app.poll()
  t.match(await app.show(), { state: 'pending', health: 'quarantined' })
  t.equal((await app.peerBundles.of(app.meshId)).size, 0)
  await decide(app, 'approve', await waitingDigest(app))
  t.match(await app.show(), { state: 'active' })
})

t.test(
  'policy overlap: a bundle without a common key empties what is in use, and waits',
  async (t) => {
    const { app, peer, fresh } = await guarded(t, 'overlap')
    const old = peer.root
    peer.document = peer.bundle(2n, { roots: [old, fresh] })
    await app.pollLater()
    t.equal((await rootsInForce(app)).length, 2, 'a rotation with overlap needs nobody')
    const foreign = await FakeAuthority.root('globex.example')
    peer.document = peer.bundle(3n, { roots: [foreign] })
    await app.pollLater()
    t.same(await rootsInForce(app), [])
    t.match(await app.show(), {
      health: 'needs-bootstrap',
      wayOut:
        /entente federation bundle approve .* or get its newest bundle from the peer out of band/,
    })
    await app.pollLater()
    t.match(await app.show(), { health: 'needs-bootstrap', domains: [{ waiting: { n: '4' } }] })
    peer.root = foreign
    await peer.presentId(peer.endpointId)
    await decide(app, 'approve', await waitingDigest(app))
    await app.poll()
    t.match(await app.show(), { health: 'ok' })
  },
)

t.test('from approve to auto nothing is taken silently: the next fetch decides', async (t) => {
  const { app, peer, fresh } = await guarded(t, 'approve')
  peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
  await app.pollLater()
  const { version } = await app.show()
  const changed = await app.call('PATCH', `${PATH}/globex`, {
    body: { changePolicy: 'auto' },
    ifMatch: `"v${version}"`,
  })
  t.match(changed, { status: 200, body: { changePolicy: 'auto', health: 'quarantined' } })
  t.same(await rootsInForce(app), base64(peer.root))
  await app.pollLater()
  t.same((await rootsInForce(app)).toSorted(), base64(peer.root, fresh))
  t.match((await revisions(app)).slice(0, 2), ['4 fetched current', '3 fetched rejected'])
  t.match(await app.show(), { health: 'ok', domains: [{ waiting: null }] })
})

t.test(
  'BU-17 a bundle set by hand does not bring back what the waiting document dropped',
  async (t) => {
    const { app, peer, fresh } = await guarded(t, 'approve')
    const gone = await FakeAuthority.root('globex.example')
    peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
    await app.pollLater()
    const document = new TextDecoder().decode(peer.bundle(9n, { roots: [peer.root, gone] }))
    await app.call('POST', `${PATH}/globex/bundles/globex.example`, { body: { document } })
    t.equal((await rootsInForce(app)).length, 2)
    await app.poll()
    t.same(await rootsInForce(app), base64(peer.root))
    t.match((await revisions(app)).slice(0, 3), [
      '5 reduced current',
      '4 manual superseded',
      '3 fetched quarantined',
    ])
    t.equal((await records(app, 'peer-bundle.reduce')).length, 1)
    await app.pollLater()
    t.equal((await revisions(app)).length, 5)
  },
)

t.test('FE-37 the order is that of all fetched documents, those that wait too', async (t) => {
  const { app, peer, fresh } = await guarded(t, 'approve')
  peer.document = peer.bundle(7n, { roots: [peer.root, fresh] })
  await app.pollLater()
  peer.document = peer.bundle(6n)
  await app.pollLater()
  t.match(await app.show(), {
    health: 'quarantined',
    domains: [{ poll: { lastError: /went back from sequence 7 to 6/ } }],
  })
  const body = { acceptLowerSequence: true }
  const taken = await app.call('POST', `${PATH}/globex/refresh`, { body })
  t.match(taken.body, {
    outcomes: [{ outcome: 'accepted', sequence: '6' }],
    relationship: { health: 'ok', domains: [{ waiting: null }] },
  })
})

t.test(
  'what a fetch in flight brings after an approval is judged by what is in force then',
  async (t) => {
    const { app, peer, fresh } = await guarded(t, 'approve')
    peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
    await app.pollLater()
    const digest = await waitingDigest(app)
    const answer = behave.serve(peer)
    const arrived = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    peer.behaviour = (request, response) => {
      arrived.resolve()
      void held.promise.then(() => answer(request, response))
    }
    const polling = app.pollLater()
    await arrived.promise
    t.equal((await decide(app, 'approve', digest)).status, 200)
    held.resolve()
    await polling
    t.match(await revisions(app), [
      '3 fetched current',
      '2 fetched superseded',
      '1 manual superseded',
    ])
    t.equal((await rootsInForce(app)).length, 2)
  },
)

t.test('an end takes the waiting document along', async (t) => {
  const { app, peer, fresh } = await guarded(t, 'approve')
  peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
  await app.pollLater()
  const digest = await waitingDigest(app)
  const { version } = await app.show()
  await app.call('POST', `${PATH}/globex/terminate`, { body: {}, ifMatch: `"v${version}"` })
  t.match((await revisions(app))[0], '3 fetched rejected')
  t.equal((await decide(app, 'approve', digest)).status, 409)
})

t.test(
  'a peer that flaps between documents writes bounded rows and is polled slowest',
  async (t) => {
    const { app, peer, fresh } = await guarded(t, 'approve', { hintMaxSeconds: 60 })
    const documents = [fresh, await FakeAuthority.root('globex.example')].map((root) =>
      peer.bundle(undefined, { hint: 60, roots: [peer.root, root] }),
    )
    for (let round = 0; round < 40; round += 1) {
      peer.document = documents[round % 2] ?? peer.document
      await app.pollLater(61)
    }
    const { intervalSeconds } = (await domainOf(app)).poll ?? {}
    t.equal(intervalSeconds, 3600)
    t.ok((await revisions(app)).length < 26, `${(await revisions(app)).length} rows`)
    t.ok(alarms(app).includes('peer.changes-too-often'))
  },
)
