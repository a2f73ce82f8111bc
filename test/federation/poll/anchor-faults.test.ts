import t from 'tap'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { behave, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { type FederationApp, federationApp } from '../federation-app.ts'

// Faults that other implementations have or had, each named, and shown to be impossible here under every policy.

const PATH = '/meshes/acme/relationships'
const globex = parseTrustDomain('globex.example')
const POLICIES = ['auto', 'overlap', 'approve'] as const

const federated = async (t: Parameters<typeof federationApp>[0], changePolicy: string) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer, { changePolicy })
  await app.poll()
  return { app, peer }
}
const rootsInForce = async (app: FederationApp) => {
  app.peerBundles.invalidate(app.meshId)
  return (await app.peerBundles.of(app.meshId)).get(globex)?.bundle.x509Authorities.length
}
const written = async (app: FederationApp) => {
  const { db } = app.database
  const count = async (table: 'peer_bundle_revision' | 'audit_record' | 'trust_span') =>
    (
      await db
        .selectFrom(table)
        .select((eb) => eb.fn.countAll().as('n'))
        .execute()
    )[0]?.n
  return [
    await count('peer_bundle_revision'),
    await count('audit_record'),
    await count('trust_span'),
  ].map(Number)
}

t.test(
  'a JSON object without keys never empties a stored bundle (spire: {} accepted)',
  async (t) => {
    for (const policy of POLICIES) {
      const { app, peer } = await federated(t, policy)
      for (const body of ['{}', '{"status":"maintenance"}', '{"keys":null}', '{"keys":{}}']) {
        peer.behaviour = behave.answer(200, body, { 'content-type': 'application/json' })
        await app.pollLater()
        t.equal(await rootsInForce(app), 1, `${policy} ${body}`)
        t.match(await app.show(), { healthReason: /member "keys" is no array/ })
      }
    }
  },
)

t.test('BU-15 an explicit empty list of keys is honoured, under every policy', async (t) => {
  for (const policy of POLICIES) {
    const { app, peer } = await federated(t, policy)
    peer.behaviour = behave.answer(200, '{"spiffe_sequence":2,"keys":[]}')
    await app.pollLater()
    t.equal(await rootsInForce(app), 0, policy)
    t.match(await app.show(), { health: 'needs-bootstrap', domains: [{ waiting: null }] })
  }
})

t.test(
  'FE-37 a replayed older document is refused (spire: the sequence is parsed and dropped)',
  async (t) => {
    for (const policy of POLICIES) {
      const { app, peer } = await federated(t, policy)
      const old = peer.document
      const leaked = await FakeAuthority.root('globex.example')
      peer.document = peer.bundle(3n)
      await app.pollLater()
      peer.behaviour = behave.answer(200, peer.bundle(2n, { roots: [peer.root, leaked] }))
      await app.pollLater()
      t.match(await app.show(), { healthReason: /went back from sequence 3 to 2/ })
      peer.behaviour = behave.answer(200, old)
      await app.pollLater()
      t.match(await app.show(), { healthReason: /went back from sequence 3 to 1/ })
      t.equal(await rootsInForce(app), 1)
    }
  },
)

t.test('other content under the same sequence is taken by policy, with a warning', async (t) => {
  const { app, peer } = await federated(t, 'overlap')
  peer.document = peer.bundle(1n, { roots: [peer.root, await FakeAuthority.root(globex)] })
  await app.pollLater()
  t.equal(await rootsInForce(app), 2)
  const { body } = await app.call('GET', `${PATH}/globex/bundles/globex.example/revisions`)
  t.match(body.items[0], { reason: /has other content under the same sequence 1/ })
  t.match(
    app.lines.findLast(({ event }) => event === 'federation.fetched'),
    {
      reason: /other content under the same sequence/,
    },
  )
})

t.test(
  'an unchanged bundle without a sequence writes nothing (spire: unset is never equal to 0)',
  async (t) => {
    for (const policy of POLICIES) {
      const { app, peer } = await federated(t, policy)
      peer.document = peer.bundle(undefined, { hint: undefined })
      await app.pollLater()
      const before = await written(app)
      peer.behaviour = behave.answer(200, peer.document)
      for (let round = 0; round < 3; round += 1) await app.pollLater()
      t.same(await written(app), before, policy)
      t.match(await app.show(), { health: 'ok', domains: [{ poll: { intervalSeconds: 300 } }] })
    }
  },
)

t.test(
  'authorities are looked at before they are trusted (spire: no check of CA flag or key)',
  async (t) => {
    const { app, peer } = await federated(t, 'auto')
    const leaf = await peer.root.issue({ uris: ['spiffe://globex.example/workload'] })
    const leafDer = leaf.cert.split('-----END')[0]?.replaceAll(/-----[^-]+-----|\s/g, '') ?? ''
    const other = await FakeAuthority.root('globex.example')
    const bundle = JSON.parse(
      new TextDecoder().decode(peer.bundle(2n, { roots: [peer.root, other] })),
    )
    const [one, two] = bundle.keys
    bundle.keys = [one, { ...two, x5c: [leafDer] }, { ...two, x5c: one.x5c }]
    peer.behaviour = behave.answer(200, JSON.stringify(bundle))
    await app.pollLater()
    t.equal(await rootsInForce(app), 1)
    const { body } = await app.call('GET', `${PATH}/globex/bundles/globex.example/revisions`)
    t.match(body.items[0], { sequence: '2', reason: /no CA|not the key of its certificate/ })
  },
)
