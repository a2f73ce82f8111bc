import { createHash, X509Certificate } from 'node:crypto'
import t, { type Test } from 'tap'
import { addSeconds } from '../../../src/clock.ts'
import { generateKeyPair, publicJwk } from '../../../src/pki/key-pair.ts'
import { type BundleSigner, writeSignedBundle } from '../../../src/pki/signed-bundle.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { behave, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { federationApp, type FederationApp, spiffePeer } from '../federation-app.ts'

const GLOBEX = parseTrustDomain('globex.example')
const ACME = parseTrustDomain('acme.example')
const BUNDLE = '/meshes/acme/relationships/globex/bundles/globex.example'
const HOURS = 3600

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const recovery = generateKeyPair()

/** A web server that another PKI vouches for: it carries whatever it is given. */
async function webServer(t: Test, body: () => string | Uint8Array) {
  const root = await FakeAuthority.root('web.example')
  const server = await FakePeer.open(t, 'web.example')
  server.present(await root.issue({ dnsNames: ['localhost'] }))
  server.behaviour = (request, response) => behave.answer(200, body())(request, response)
  return { server, root }
}

/** A peer with these recovery paths that was away until every authority which we hold had ended. */
async function expired(
  t: Test,
  paths: readonly object[],
  webRoots: readonly FakeAuthority[] = [],
): Promise<{ app: FederationApp; peer: FakePeer }> {
  const app = await federationApp(t, { webRoots })
  const peer = await FakePeer.open(t, GLOBEX)
  peer.root = await FakeAuthority.root(GLOBEX, { notAfter: addSeconds(app.clock.now(), 2 * HOURS) })
  await peer.presentId(peer.endpointId)
  peer.document = peer.bundle(1n)
  const body = spiffePeer(peer)
  const [domain] = body['domains'] as object[]
  const made = await app.call('POST', '/meshes/acme/relationships', {
    body: { ...body, domains: [{ ...domain, recovery: paths }] },
  })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  await app.poll()
  t.match(await app.show(), { state: 'active', health: 'ok' })
  peer.root = await FakeAuthority.root(GLOBEX)
  await peer.presentId(peer.endpointId)
  peer.document = peer.bundle(7n)
  await app.clock.advance(3 * HOURS * 1000)
  return { app, peer }
}

const signed = (
  app: FederationApp,
  peer: FakePeer,
  over: object = {},
  signer: BundleSigner = { how: 'recovery-key', privateKey: recovery.privateKey },
) => {
  const issuedAt = app.clock.now()
  const bundle = {
    subject: GLOBEX,
    audience: ACME,
    sequence: 7n,
    document: peer.document,
    issuedAt,
    expiresAt: addSeconds(issuedAt, HOURS),
  }
  return writeSignedBundle({ ...bundle, ...over }, signer)
}

const byKey = (endpointUrl?: string) => ({
  kind: 'signed-bundle',
  publicKey: { ...publicJwk(recovery.publicKey) },
  ...(endpointUrl === undefined ? {} : { endpointUrl }),
})

t.test(
  'FE-03 FE-26 without a recovery path an expired peer is contacted in no other way',
  async (t) => {
    const { app, peer } = await expired(t, [])
    const before = peer.requests.length
    await app.poll()
    t.equal(peer.requests.length, before)
    t.match(await app.show(), { state: 'active', health: 'needs-bootstrap', wayOut: /bundle set/ })
  },
)

t.test('a second endpoint of another profile ends the deadlock of an expired bundle', async (t) => {
  let peer: FakePeer | undefined
  const { server, root } = await webServer(t, () => peer?.document ?? '')
  const path = { kind: 'endpoint', source: 'https_web', endpointUrl: server.url }
  const made = await expired(t, [path], [root])
  peer = made.peer
  const { app } = made
  t.equal(server.requests.length, 0, 'it was not asked while the first endpoint could be')
  await app.poll()
  t.match(await app.show(), {
    state: 'active',
    health: 'ok',
    domains: [{ bundle: { sequence: '7' } }],
  })
  const revisions = await app.call('GET', `${BUNDLE}/revisions`)
  t.match(revisions.body.items[0].verifiedBy, {
    how: 'fetch',
    url: server.url,
    recovery: /second endpoint/,
  })
  const asked = server.requests.length
  await app.pollLater()
  t.equal(server.requests.length, asked, 'from then on the first endpoint is polled again')
  t.ok(peer.requests.length > 1)
})

t.test('a bundle signed by the pinned recovery key ends it, wherever it is fetched', async (t) => {
  let token = ''
  const { server, root } = await webServer(t, () => token)
  const { app, peer } = await expired(t, [byKey(server.url)], [root])
  for (const wrong of [
    signed(app, peer, { audience: parseTrustDomain('evil.example') }),
    signed(app, peer, { subject: parseTrustDomain('evil.example') }),
    signed(app, peer, {}, { how: 'recovery-key', privateKey: generateKeyPair().privateKey }),
    text(peer.document),
  ]) {
    token = wrong
    await app.poll()
    t.match(await app.show(), { health: 'needs-bootstrap' })
    await app.clock.advance(300_000)
  }
  token = signed(app, peer)
  await app.poll()
  t.match(await app.show(), {
    state: 'active',
    health: 'ok',
    domains: [{ bundle: { sequence: '7' } }],
  })
})

t.test(
  'recovery paths are tried in their order, and one that fails gives way to the next',
  async (t) => {
    let token = ''
    const good = await webServer(t, () => token)
    const bad = await webServer(t, () => '<html>maintenance</html>')
    const paths = [
      {
        kind: 'endpoint',
        source: 'https_web',
        endpointUrl: good.server.at('/first', 'nowhere.localhost'),
      },
      byKey(bad.server.url),
      byKey(good.server.url),
    ]
    const { app, peer } = await expired(t, paths, [good.root, bad.root])
    token = signed(app, peer)
    await app.poll()
    t.match(await app.show(), { health: 'ok' })
    t.equal(bad.server.requests.length, 1)
  },
)

t.test(
  'keys that we distrust are no reason to recover: what took them away was not time',
  async (t) => {
    let peer: FakePeer | undefined
    const { server, root } = await webServer(t, () => peer?.bundle(9n) ?? '')
    const app = await federationApp(t, { webRoots: [root] })
    peer = await FakePeer.open(t, GLOBEX)
    const body = spiffePeer(peer)
    const [domain] = body['domains'] as object[]
    const recovery = [{ kind: 'endpoint', source: 'https_web', endpointUrl: server.url }]
    await app.call('POST', '/meshes/acme/relationships', {
      body: { ...body, domains: [{ ...domain, recovery }] },
    })
    await app.poll()
    const key = createHash('sha256').update(
      new X509Certificate(peer.root.pem).publicKey.export({ type: 'spki', format: 'der' }),
    )
    const distrusted = await app.call('POST', '/meshes/acme/distrusted-keys', {
      body: { publicKeySha256: key.digest('hex') },
    })
    t.equal(distrusted.status, 201, JSON.stringify(distrusted.body))
    peer.root = await FakeAuthority.root(GLOBEX)
    await app.pollLater()
    await app.pollLater()
    t.equal(server.requests.length, 0, 'the second endpoint was not asked')
    t.match(await app.show(), {
      health: 'needs-bootstrap',
      healthReason: /1 X\.509 authority of globex\.example that we hold is distrusted by this mesh/,
      wayOut: /distrust lift/,
    })
  },
)

t.test('a signed bundle is carried by hand into a network that is not connected', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, GLOBEX)
  const domain = {
    trustDomain: GLOBEX,
    source: 'static',
    bundle: text(peer.document),
    recovery: [byKey()],
  }
  await app.call('POST', '/meshes/acme/relationships', {
    body: { name: 'globex', domains: [domain] },
  })
  const set = (document: string) => app.call('POST', BUNDLE, { body: { document } })
  const eighth = { sequence: 8n, document: peer.bundle(8n) }
  t.match(await set(signed(app, peer, eighth)), { status: 200, body: { sequence: '8' } })
  const sixth = { sequence: 6n, document: peer.bundle(6n) }
  t.match(await set(signed(app, peer, sixth)), {
    status: 409,
    body: { code: 'BUNDLE_SEQUENCE_REGRESSED' },
  })
  t.match(await set(signed(app, peer, { ...sixth, sequence: 9n })), {
    status: 422,
    body: { code: 'SIGNED_BUNDLE_REFUSED', detail: /another sequence/ },
  })
  await app.clock.advance(2 * HOURS * 1000)
  const old = signed(app, peer, {
    issuedAt: addSeconds(app.clock.now(), -2 * HOURS),
    expiresAt: addSeconds(app.clock.now(), -HOURS),
  })
  t.match(await set(old), { status: 422, body: { detail: /ended at/ } })
  const revisions = await app.call('GET', `${BUNDLE}/revisions`)
  t.match(revisions.body.items[0], {
    origin: 'signed',
    verifiedBy: { how: 'hand', signedBy: 'recovery-key' },
  })
})

t.test(
  'a bundle re-pinned by hand must have the fingerprint that two people compared',
  async (t) => {
    const { app, peer } = await expired(t, [])
    const document = text(peer.document)
    const wrong = { document, fingerprint: '00000 '.repeat(8).trim() }
    const refused = await app.call('POST', BUNDLE, { body: wrong })
    t.match(refused, { status: 422, body: { code: 'FINGERPRINT_DIFFERS' } })
    t.match(await app.show(), { domains: [{ bundle: { sequence: '1' } }] })
    const [, found] = /fingerprint ([0-9 ]+),/.exec(refused.body.detail) ?? []
    const right = { document, fingerprint: found?.replaceAll(' ', '-') ?? '' }
    t.equal((await app.call('POST', BUNDLE, { body: right })).status, 200)
    await app.poll()
    t.match(await app.show(), { health: 'ok', domains: [{ bundle: { origin: 'fetched' } }] })
  },
)

t.test('recovery paths that could not help, or name a private key, are refused', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, GLOBEX)
  const make = (path: object) => {
    const body = spiffePeer(peer)
    const [domain] = body['domains'] as object[]
    return app.call('POST', '/meshes/acme/relationships?dryRun=true', {
      body: { ...body, domains: [{ ...domain, recovery: [path] }] },
    })
  }
  const url = 'https://second.example/bundle'
  const sameDomain = await make({
    kind: 'endpoint',
    source: 'https_spiffe',
    endpointUrl: url,
    endpointSpiffeId: 'spiffe://globex.example/second',
  })
  t.match(sameDomain, {
    status: 422,
    body: { detail: /could not be authenticated when the first/ },
  })
  t.equal(
    (await make({ kind: 'endpoint', endpointUrl: url })).status,
    422,
    'no profile is inferred',
  )
  t.equal((await make({ kind: 'signed-bundle', endpointUrl: url })).status, 422, 'needs a key')
  const withPrivate = { ...publicJwk(recovery.publicKey), d: 'AAAA' }
  t.match(await make({ kind: 'signed-bundle', publicKey: withPrivate }), {
    status: 422,
    body: { detail: /found a private key/ },
  })
})
