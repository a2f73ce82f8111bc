import t, { type Test } from 'tap'
import { FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { type FederationApp, federationApp, spiffePeer } from '../federation-app.ts'

const PATH = '/meshes/acme/relationships'

/** A peer whose endpoint stands in another trust domain, whose root signs what it presents. */
async function vouchedPeer(
  t: Parameters<typeof federationApp>[0],
  trustDomain: string,
  voucher: FakePeer,
) {
  const peer = await FakePeer.open(t, trustDomain)
  peer.present(await voucher.root.issue({ uris: [voucher.endpointId] }))
  return peer
}

const hosted = (peer: FakePeer, voucher: FakePeer, more: object = {}) => ({
  trustDomain: peer.trustDomain,
  source: 'https_spiffe',
  endpointUrl: peer.url,
  endpointSpiffeId: voucher.endpointId,
  ...more,
})

const make = (app: FederationApp, name: string, ...domains: object[]) =>
  app.call('POST', PATH, { body: { name, domains } })
const act = (app: FederationApp, name: string, what: string) =>
  app.call('POST', `${PATH}/${name}/${what}`, { body: {}, ifMatch: '*' })

async function vouched(t: Test) {
  const app = await federationApp(t)
  const host = await FakePeer.open(t, 'host.example')
  const tenant = await vouchedPeer(t, 'tenant.example', host)
  await app.call('POST', PATH, { body: spiffePeer(host, { name: 'host' }) })
  await app.poll()
  const made = await make(app, 'tenant', hosted(tenant, host))
  t.equal(made.status, 201)
  return { app, host, tenant }
}

t.test(
  'FE-24 an endpoint in another trust domain is authenticated by that domain’s bundle, without a first one of its own',
  async (t) => {
    const { app, tenant } = await vouched(t)
    t.match(await app.show('tenant'), { state: 'pending', health: 'ok' })
    await app.poll()
    t.match(await app.show('tenant'), {
      state: 'active',
      domains: [{ bundle: { sequence: '1', origin: 'fetched' } }],
    })
    t.equal(tenant.requests.length, 1)
    t.same([...(await app.peerBundles.of(app.meshId)).keys()].toSorted(), [
      'host.example',
      'tenant.example',
    ])
  },
)

t.test(
  'FE-24 FE-21 the bundle of the served domain does not authenticate such an endpoint',
  async (t) => {
    const { app, tenant, host } = await vouched(t)
    await app.poll()
    tenant.present(await tenant.root.issue({ uris: [host.endpointId] }))
    tenant.document = tenant.bundle(2n)
    await app.pollLater()
    t.match(await app.show('tenant'), {
      health: 'failing',
      domains: [{ bundle: { sequence: '1' } }],
    })
  },
)

t.test(
  'FE-24 FE-23 the newest bundle of the endpoint’s domain counts at each connection',
  async (t) => {
    const { app, host, tenant } = await vouched(t)
    await app.poll()
    host.root = await FakeAuthority.root('host.example')
    host.document = host.bundle(5n)
    await host.presentId(host.endpointId)
    await app.call('POST', `${PATH}/host/bundles/host.example`, {
      body: { document: new TextDecoder().decode(host.document) },
    })
    tenant.document = tenant.bundle(2n)
    await app.pollLater()
    t.match((await app.show('tenant')).domains[0]?.health, 'failing', 'still presents the old root')
    tenant.present(await host.root.issue({ uris: [host.endpointId] }))
    await app.pollLater()
    t.match(await app.show('tenant'), { health: 'ok', domains: [{ bundle: { sequence: '2' } }] })
  },
)

for (const [what, state] of [
  ['suspend', 'suspended'],
  ['withdraw', 'suspended'],
  ['terminate', 'terminated'],
] as const) {
  t.test(
    `FE-24 to ${what} a relationship stops the fetches that its bundle authenticates`,
    async (t) => {
      const { app, tenant } = await vouched(t)
      await app.poll()
      const dry = await app.call('POST', `${PATH}/host/${what}?dryRun=true`)
      t.match(dry.body.effects ?? dry.body.ended, [
        { kind: 'trust-domain', name: 'host.example' },
        { kind: 'relationship', name: 'tenant', effect: /tenant\.example is no longer fetched/ },
      ])
      await act(app, 'host', what)
      const before = tenant.requests.length
      await app.poll()
      t.equal(tenant.requests.length, before, 'nothing is contacted')
      t.match(await app.show('tenant'), {
        state: 'active',
        health: 'needs-bootstrap',
        healthReason: `relationship host, whose bundle authenticates it, is ${state}, so its endpoint cannot be authenticated`,
      })
      t.equal((await app.peerBundles.of(app.meshId)).size, 1, 'the stored bundle stays in force')
      if (what !== 'suspend') return
      await act(app, 'host', 'resume')
      await app.poll()
      t.match(await app.show('tenant'), { health: 'ok' })
      t.ok(tenant.requests.length > before)
    },
  )
}

t.test(
  'FE-24 what a fetch in flight brings is thrown away when its voucher is suspended',
  async (t) => {
    const { app, tenant } = await vouched(t)
    await app.poll()
    let release: (() => void) | undefined
    const { behaviour } = tenant
    const arrived = new Promise<void>((resolve) => {
      tenant.behaviour = (request, response) => {
        release = () => behaviour(request, response)
        resolve()
      }
    })
    tenant.document = tenant.bundle(2n)
    const polled = app.pollLater()
    await arrived
    await act(app, 'host', 'suspend')
    release?.()
    await polled
    t.equal((await app.show('tenant')).domains[0]?.bundle?.sequence, '1')
  },
)

t.test(
  'FE-24 a mesh with two domains is one relationship, of which the first vouches for the second',
  async (t) => {
    const app = await federationApp(t)
    const host = await FakePeer.open(t, 'host.example')
    const tenant = await vouchedPeer(t, 'tenant.example', host)
    const [first] = spiffePeer(host)['domains'] as [object]
    t.equal((await make(app, 'both', first, hosted(tenant, host))).status, 201)
    await app.poll()
    t.match(await app.show('both'), { state: 'active', health: 'ok' })
    await act(app, 'both', 'suspend')
    tenant.document = tenant.bundle(2n)
    await app.pollLater()
    t.equal(
      (await app.show('both')).domains.find(({ trustDomain }) => trustDomain === 'tenant.example')
        ?.bundle?.sequence,
      '2',
      'its own polls go on',
    )
  },
)

t.test('FE-24 the endpoint may stand in a trust domain of this very mesh', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'tenant.example')
  const endpointSpiffeId = 'spiffe://acme.example/entente/bundle-endpoint'
  const made = await make(app, 'tenant', {
    trustDomain: 'tenant.example',
    source: 'https_spiffe',
    endpointUrl: peer.url,
    endpointSpiffeId,
  })
  t.equal(made.status, 201)
})

t.test(
  'FE-25 an endpoint in a domain that nobody here has a bundle of is refused, with what to do first',
  async (t) => {
    const app = await federationApp(t)
    const host = await FakePeer.open(t, 'host.example')
    const tenant = await vouchedPeer(t, 'tenant.example', host)
    const refused = await make(app, 'tenant', hosted(tenant, host))
    t.match(refused.body, {
      status: 422,
      code: 'RELATIONSHIP_INVALID',
      detail: /stands in host\.example, and this mesh has no bundle of host\.example/,
      next: /entente federation add NAME --trust-domain host\.example/,
    })
  },
)

t.test('FE-25 a cycle of endpoints can never start and is refused', async (t) => {
  const { app, host, tenant } = await vouched(t)
  const one = await FakePeer.open(t, 'one.example')
  const two = await FakePeer.open(t, 'two.example')
  const cycle = await make(app, 'cycle', hosted(one, two), hosted(two, one))
  t.match(cycle.body, {
    code: 'RELATIONSHIP_INVALID',
    detail: /one\.example → two\.example → one\.example/,
  })
  t.equal((await make(app, 'chain', hosted(one, tenant))).status, 201, 'a chain that ends is none')
  t.ok(host)
})

t.test(
  'FE-24 a first bundle of the served domain would never be used and is refused',
  async (t) => {
    const { app, host } = await vouched(t)
    const other = await vouchedPeer(t, 'other.example', host)
    const bundle = new TextDecoder().decode(other.document)
    t.match((await make(app, 'other', hosted(other, host, { bundle }))).body, {
      code: 'RELATIONSHIP_INVALID',
      detail: /would never be used/,
      errors: [{ pointer: '/domains/0/bundle' }],
    })
  },
)
