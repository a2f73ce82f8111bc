import { createHash, X509Certificate } from 'node:crypto'
import t from 'tap'
import { parseMeshId } from '../../../src/db/ids.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { readDocument } from '../../../src/federation/poll/accept-bundle.ts'
import { anchorsFor } from '../../../src/federation/invite/peer-side.ts'
import { trustedSide } from '../../../src/federation/invite/trusted-side.ts'
import { verifyX509Svid } from '../../../src/pki/verify-chain.ts'
import { FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { type FederationApp, federationApp } from '../federation-app.ts'

const globex = parseTrustDomain('globex.example')
const KEYS = '/meshes/acme/distrusted-keys'

/** SHA-256 of an authority's public key, as an operator writes it. */
function keyOf({ der }: FakeAuthority): string {
  const spki = new X509Certificate(der).publicKey.export({ format: 'der', type: 'spki' })
  return createHash('sha256').update(spki).digest('hex')
}

async function federated(t: Parameters<typeof federationApp>[0]) {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const second = await FakeAuthority.root('globex.example')
  peer.document = peer.bundle(1n, { roots: [peer.root, second] })
  await app.addPeer(peer)
  await app.poll()
  return { app, peer, second }
}

async function authoritiesOf(app: FederationApp): Promise<number> {
  const bundles = await app.peerBundles.of(app.meshId)
  return bundles.get(globex)?.bundle.x509Authorities.length ?? -1
}

t.test(
  'a distrusted key leaves the bundle for workloads, in any certificate, until lifted',
  async (t) => {
    const { app, peer, second } = await federated(t)
    t.equal(await authoritiesOf(app), 2)
    const colons = keyOf(second).toUpperCase().match(/../g)?.join(':')
    const made = await app.call('POST', KEYS, { body: { publicKeySha256: colons, note: 'leaked' } })
    t.match(made, {
      status: 201,
      body: {
        key: { publicKeySha256: keyOf(second), note: 'leaked', by: 'tester', liftedAt: null },
        places: [{ relationship: 'globex', state: 'active', trustDomain: globex, kind: 'x509' }],
      },
    })
    t.notMatch(made.body.effects, [{ kind: 'endpoint' }], 'the other root still authenticates it')
    t.equal(await authoritiesOf(app), 1, 'at once where it was made')

    const again = await second.renewed()
    t.not(
      new X509Certificate(again.der).fingerprint256,
      new X509Certificate(second.der).fingerprint256,
    )
    peer.document = peer.bundle(2n, { roots: [peer.root, again] })
    await app.pollLater()
    t.match(await app.show(), { health: 'ok', domains: [{ bundle: { sequence: '2' } }] })
    t.equal(await authoritiesOf(app), 1, 'also in a fresh certificate on the same key')
    const { body } = await app.call(
      'GET',
      '/meshes/acme/relationships/globex/bundles/globex.example/revisions',
    )
    t.match(body.items[0].reason, `distrusted key sha256:${keyOf(second)}, which is not used`)

    t.equal(
      (await app.call('POST', KEYS, { body: { publicKeySha256: keyOf(second) } })).status,
      409,
    )
    const lifted = await app.call('DELETE', `${KEYS}/${keyOf(second)}`)
    t.match(lifted, { status: 200, body: { key: { liftedBy: 'tester' } } })
    t.equal(await authoritiesOf(app), 2)
    t.same((await app.call('GET', KEYS)).body.items, [])
    t.match((await app.call('GET', `${KEYS}?lifted=true`)).body.items, [
      { note: 'leaked', liftedBy: 'tester' },
    ])
    t.equal((await app.call('DELETE', `${KEYS}/${keyOf(second)}`)).status, 404)
  },
)

t.test(
  'a distrusted key authenticates no endpoint, and what it was fetching is thrown away',
  async (t) => {
    const { app, peer } = await federated(t)
    const [task] = await claimed(app)
    t.ok(task)
    const asked = await app.call('POST', `${KEYS}?dryRun=true`, {
      body: { publicKeySha256: keyOf(peer.root) },
    })
    t.match(asked, {
      status: 200,
      body: { places: [{ kind: 'x509' }], effects: [{ kind: 'authority' }] },
    })
    t.equal(await authoritiesOf(app), 2, 'a dry run changes nothing')
    t.same((await app.call('GET', KEYS)).body.items, [])

    await app.call('POST', KEYS, { body: { publicKeySha256: keyOf(peer.root) } })
    const late = await app.database.db
      .selectFrom('poll')
      .select(['epoch', 'owner'])
      .executeTakeFirstOrThrow()
    t.ok(
      late.epoch > (task?.epoch ?? 0n) && late.owner === null,
      'the lease of the fetch in flight has gone',
    )
    const before = peer.requests.length
    await app.poll()
    t.equal(peer.requests.length, before, 'the request was not sent')
    t.match(await app.show(), {
      health: 'failing',
      healthReason: /does not chain to the stored bundle/,
    })
    await app.call('DELETE', `${KEYS}/${keyOf(peer.root)}`)
    await app.poll()
    t.match(await app.show(), { health: 'ok' })
  },
)

t.test(
  'the last anchor of an endpoint: the dry run says that it could no longer be authenticated',
  async (t) => {
    const app = await federationApp(t)
    const peer = await FakePeer.open(t, 'globex.example')
    await app.addPeer(peer)
    await app.poll()
    const { body } = await app.call('POST', `${KEYS}?dryRun=true`, {
      body: { publicKeySha256: keyOf(peer.root) },
    })
    t.match(body.effects, [
      { kind: 'authority' },
      { kind: 'endpoint', effect: /no other valid authority is left/ },
    ])
    await app.call('POST', KEYS, { body: { publicKeySha256: keyOf(peer.root) } })
    t.match(await app.show(), { health: 'needs-bootstrap' })
    t.equal(await authoritiesOf(app), 0, 'workloads trust nobody there (BU-15)')
  },
)

t.test('what is no key of a peer is refused with the way out', async (t) => {
  const { app, peer } = await federated(t)
  const ask = (publicKeySha256: string) => app.call('POST', KEYS, { body: { publicKeySha256 } })
  t.match(await ask('abc'), { status: 400, body: { detail: /wanted 64 hex digits/ } })
  const certificate = createHash('sha256').update(peer.root.der).digest('hex')
  t.match(await ask(certificate), {
    status: 400,
    body: {
      detail: /fingerprint of a certificate of globex.example/,
      next: `entente federation distrust ${keyOf(peer.root)}`,
    },
  })
  const own = await app.database.db
    .selectFrom('authority')
    .select('public_key')
    .where('kind', '=', 'x509_root')
    .executeTakeFirstOrThrow()
  const ownKey = createHash('sha256').update(own.public_key).digest('hex')
  t.match(await ask(ownKey), { status: 409, body: { detail: /one of our own/ } })
  t.match(
    await ask('0'.repeat(64)),
    { status: 201, body: { places: [] } },
    'a key may be distrusted before it shows up',
  )
})

t.test('other meshes go on trusting the key', async (t) => {
  const { app, second } = await federated(t)
  await app.call('POST', KEYS, { body: { publicKeySha256: keyOf(second) } })
  t.equal((await app.call('GET', '/meshes/other/distrusted-keys')).status, 404)
  t.equal(
    (
      await app.call('POST', '/meshes/other/distrusted-keys', {
        body: { publicKeySha256: keyOf(second) },
      })
    ).status,
    404,
  )
})

t.test(
  'every replica hears of it within a second: workloads and mTLS validators refuse after that',
  async (t) => {
    const { app, second } = await federated(t)
    const other = await federationApp(t, { database: app.database, clock: app.clock, owner: 'b' })
    const svid = await second.issue({ uris: ['spiffe://globex.example/web'] })
    const chain = [new Uint8Array(new X509Certificate(svid.cert).raw)]
    const validate = async () => {
      const bundles = await other.peerBundles.of(parseMeshId('acme'))
      const anchorsOf = (td: string) =>
        bundles
          .get(parseTrustDomain(td))
          ?.bundle.x509Authorities.map(({ certificate }) => certificate)
      return verifyX509Svid(chain, { anchorsOf, now: app.clock.now() }).id
    }
    t.equal(await validate(), 'spiffe://globex.example/web')
    const began = performance.now()
    await app.call('POST', KEYS, { body: { publicKeySha256: keyOf(second) } })
    let isRefused = false
    while (!isRefused && performance.now() - began < 5000) {
      isRefused = await validate().then(
        () => false,
        () => true,
      )
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const tookMs = Math.round(performance.now() - began)
    t.ok(isRefused && tookMs < 1500, `refused after ${tookMs} ms`)
    await t.rejects(validate(), { code: 'SVID_INVALID' })
    t.equal(await authoritiesOf(other), 1)
  },
)

async function claimed(app: FederationApp) {
  await app.database.db
    .updateTable('poll')
    .set({ owner: 'elsewhere', lease_until: new Date(Date.now() + 60_000) })
    .execute()
  return app.database.db.selectFrom('poll').select(['epoch']).execute()
}

t.test('a bundle of distrusted keys alone begins no relationship', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.call('POST', KEYS, { body: { publicKeySha256: keyOf(peer.root) } })
  t.match(await app.addPeer(peer), {
    status: 422,
    body: {
      detail: /every X\.509 authority in the bundle given for globex\.example is distrusted/,
    },
  })
})

t.test('a distrusted key in common is no overlap: it cannot vouch for a stranger', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const leaked = await FakeAuthority.root('globex.example')
  const stranger = await FakeAuthority.root('globex.example')
  peer.document = peer.bundle(1n, { roots: [peer.root, leaked] })
  await app.addPeer(peer, { changePolicy: 'overlap' })
  await app.poll()
  await app.call('POST', KEYS, { body: { publicKeySha256: keyOf(leaked) } })
  await app.poll()
  peer.document = peer.bundle(2n, { roots: [leaked, stranger] })
  await app.pollLater()
  t.match(await app.show(), { domains: [{ waiting: { n: String } }] }, 'it waits for a person')
  t.equal(await authoritiesOf(app), 0, 'what the peer dropped is gone, and nothing is added')
})

t.test('a side of a handshake proves nothing by a distrusted key', async (t) => {
  const { app, peer, second } = await federated(t)
  const read = readDocument(globex, peer.document)
  const domain = {
    trustDomain: globex,
    profile: 'https_spiffe' as const,
    url: peer.url,
    endpointId: peer.endpointId,
    recovery: [],
    document: peer.document,
    read,
  }
  const side = {
    meshName: 'globex',
    domains: [domain],
    exchange: { id: peer.endpointId, url: peer.url },
  }
  const { db } = app.database
  t.equal(anchorsFor(await trustedSide(db, app.meshId, side), peer.endpointId)?.length, 2)
  await app.call('POST', KEYS, { body: { publicKeySha256: keyOf(second) } })
  const trusted = await trustedSide(db, app.meshId, side)
  t.equal(anchorsFor(trusted, peer.endpointId)?.length, 1)
  t.equal(trusted.domains[0]?.document, peer.document, 'the document stays as it came')
})
