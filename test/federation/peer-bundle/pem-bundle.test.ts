import t, { type Test } from 'tap'
import { FakePeer } from '../../support/fake-peer.ts'
import { federationApp, spiffePeer } from '../federation-app.ts'

const PATH = '/meshes/acme/relationships'

async function setup(t: Test) {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const [domain] = spiffePeer(peer)['domains'] as [Record<string, unknown>]
  const make = (change: object) =>
    app.call('POST', PATH, { body: { name: 'globex', domains: [{ ...domain, ...change }] } })
  return { app, peer, make }
}

t.test(
  'FE-22 PEM certificates authenticate the first fetch as a SPIFFE bundle would',
  async (t) => {
    const { app, peer, make } = await setup(t)
    const made = await make({ bundle: undefined, bundlePem: `a comment\n${peer.root.pem}` })
    t.match(made.body, { domains: [{ bundle: { sequence: null, x509Authorities: 1 } }] })
    const stored = await app.call('GET', `${PATH}/globex/bundles/globex.example`)
    t.match(JSON.parse(stored.body.document), { keys: [{ use: 'x509-svid', x5c: [/^MII/] }] })
    await app.poll()
    t.equal((await app.show()).state, 'active')
  },
)

t.test('a static domain may be PEM, and a bundle set by hand too', async (t) => {
  const { app, peer, make } = await setup(t)
  const domain = { source: 'static', endpointUrl: undefined, endpointSpiffeId: undefined }
  const made = await make({ ...domain, bundle: undefined, bundlePem: peer.root.pem })
  t.match(made.body, { state: 'active', domains: [{ bundle: { x509Authorities: 1 } }] })
  const other = await FakePeer.open(t, 'globex.example')
  const set = (body: object) => app.call('POST', `${PATH}/globex/bundles/globex.example`, { body })
  t.match((await set({ bundlePem: peer.root.pem + other.root.pem })).body, {
    kept: 1,
    added: [/x509/],
  })
  t.match((await set({})).body, { code: 'INVALID_REQUEST', detail: /as document, or as bundlePem/ })
})

t.test('PEM that is none, that is no CA, or beside a SPIFFE bundle is refused', async (t) => {
  const { peer, make } = await setup(t)
  const pem = (bundlePem: string, more: object = { bundle: undefined }) =>
    make({ ...more, bundlePem })
  t.match((await pem('no PEM at all')).body, { code: 'CERTIFICATE_INVALID' })
  t.match((await pem(peer.root.pem, {})).body, { detail: /two forms of one thing; give one/ })
  const leaf = await peer.root.issue({ uris: [peer.endpointId] })
  const [certificate = ''] = leaf.cert.split(/(?<=-----END CERTIFICATE-----\n)/)
  t.match((await pem(certificate)).body, { detail: /has no X\.509 authority/ })
  t.match((await pem(leaf.key)).body, { code: 'CERTIFICATE_INVALID', detail: /CERTIFICATE/ })
  t.notMatch(JSON.stringify((await pem(leaf.key)).body), leaf.key.slice(40, 80))
})
