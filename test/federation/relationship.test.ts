import t from 'tap'
import { bundleOf, FakeAuthority, FakePeer } from '../support/fake-peer.ts'
import { federationApp, spiffePeer } from './federation-app.ts'

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const PATH = '/meshes/acme/relationships'

t.test('a relationship is made, and its answer says what to do next', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const made = await app.addPeer(peer, { note: 'pilot', peerMeshName: 'Globex production' })
  t.equal(made.status, 201)
  t.equal(made.headers['location'], '/v1/meshes/acme/relationships/globex')
  t.equal(made.headers['etag'], '"v1"')
  t.match(made.body, {
    name: 'globex',
    state: 'pending',
    waitingFor: ['a first verified bundle of globex.example'],
    ourConsent: 'given',
    theirConsent: 'assumed',
    changePolicy: 'auto',
    note: 'pilot',
    peerMeshName: 'Globex production',
    readerUrl: /^https:\/\/localhost:8443\/bundles\/acme\.example\/for\/[\w-]+$/,
    domains: [
      {
        trustDomain: 'globex.example',
        source: 'https_spiffe',
        endpointUrl: peer.url,
        endpointSpiffeId: peer.endpointId,
        bundle: { sequence: '1', origin: 'manual', x509Authorities: 1 },
        poll: { lastAttemptAt: null, lastSuccessAt: null, failures: 0 },
      },
    ],
  })
  t.match(made.body.next[0], 'entente federation show globex')
})

t.test('a dry run answers with the effect and changes nothing', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const dry = await app.call('POST', `${PATH}?dryRun=true`, { body: spiffePeer(peer) })
  t.equal(dry.status, 200)
  t.equal(dry.body.state, 'pending')
  t.same((await app.call('GET', PATH)).body, { items: [], nextCursor: null })
})

t.test('FE-01 FE-02 no parameter may be missing and none is inferred', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const base = { trustDomain: 'globex.example', source: 'https_web', endpointUrl: peer.url }
  const make = (domain: object) =>
    app.call('POST', PATH, { body: { name: 'globex', domains: [domain] } })
  t.equal((await make({ ...base, trustDomain: undefined })).status, 400)
  t.equal((await make({ ...base, source: undefined })).status, 400, 'no default profile')
  t.match((await make({ ...base, endpointUrl: undefined })).body, {
    status: 422,
    code: 'RELATIONSHIP_INVALID',
    detail: /needs the URL/,
    errors: [{ pointer: '/domains/0/endpointUrl' }],
  })
  const elsewhere = await make({
    ...base,
    trustDomain: 'z.example',
    endpointUrl: 'https://a.example/b.json',
  })
  t.match(elsewhere.body, { state: 'pending', domains: [{ trustDomain: 'z.example' }] })
})

t.test('FE-05 an endpoint URL is https without userinfo, judged on the raw text', async (t) => {
  const app = await federationApp(t)
  const make = (endpointUrl: string, name = 'globex') =>
    app.call('POST', `${PATH}?dryRun=true`, {
      body: {
        name,
        domains: [{ trustDomain: 'globex.example', source: 'https_web', endpointUrl }],
      },
    })
  for (const url of [
    'http://a.example/',
    'https://u@h/',
    'https://u:p@h/',
    'https://@h/',
    'ftp://h/',
  ]) {
    t.match((await make(url)).body, { status: 422, code: 'ENDPOINT_URL_INVALID' }, url)
  }
  t.equal((await make('https://10.0.0.1:8443/x?y=z')).status, 200)
})

t.test('FE-06 https_web works with the three parameters and takes no other', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const domain = { trustDomain: 'globex.example', source: 'https_web', endpointUrl: peer.url }
  const make = (more: object) =>
    app.call('POST', PATH, { body: { name: 'globex', domains: [{ ...domain, ...more }] } })
  t.match((await make({ bundle: text(peer.document) })).body.detail, /bundle does not belong to/)
  t.match((await make({ endpointSpiffeId: peer.endpointId })).body.detail, /does not belong/)
  t.equal((await make({})).status, 201)
})

t.test('FE-07 https_spiffe needs the ID of its endpoint, with a path', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const [good] = spiffePeer(peer)['domains'] as [Record<string, unknown>]
  const make = (endpointSpiffeId: string | undefined) =>
    app.call('POST', PATH, { body: { name: 'globex', domains: [{ ...good, endpointSpiffeId }] } })
  t.match((await make(undefined)).body.detail, /needs the SPIFFE ID of the bundle endpoint/)
  t.match((await make('spiffe://globex.example')).body.detail, /has no path/)
  t.equal((await make('https://globex.example/x')).body.code, 'SPIFFE_ID_INVALID')
  t.match((await make('spiffe://other.example/entente/bundle-endpoint')).body, {
    code: 'RELATIONSHIP_INVALID',
    detail: /stands in other\.example, whose bundle authenticates the fetch/,
  })
})

t.test('FE-22 https_spiffe needs a bootstrap bundle with a valid X.509 authority', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const [good] = spiffePeer(peer)['domains'] as [Record<string, unknown>]
  const make = (bundle: string | undefined) =>
    app.call('POST', `${PATH}?dryRun=true`, {
      body: { name: 'globex', domains: [{ ...good, bundle }] },
    })
  t.match((await make(undefined)).body, {
    detail: /needs one bundle of globex\.example to authenticate the first fetch/,
    next: /out of band/,
  })
  t.match((await make('{"keys":[]}')).body.detail, /has no X\.509 authority/)
  t.equal((await make('{}')).body.code, 'BUNDLE_MALFORMED')
  const ended = await FakeAuthority.root('globex.example', {
    notBefore: new Date(Date.UTC(2020, 0, 1)),
    notAfter: new Date(Date.UTC(2020, 1, 1)),
  })
  t.match((await make(text(peer.bundle(1n, { roots: [ended] })))).body.detail, /is valid now/)
  t.equal((await make(text(peer.document))).status, 200)
})

t.test('FE-44 our own name and a name federated already are refused', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const own = { trustDomain: 'acme.example', source: 'https_web', endpointUrl: peer.url }
  t.match((await app.call('POST', PATH, { body: { name: 'self', domains: [own] } })).body, {
    status: 422,
    detail: /acme\.example is a trust domain of this mesh itself/,
  })
  t.equal((await app.addPeer(peer)).status, 201)
  t.match((await app.addPeer(peer, { name: 'again' })).body, {
    status: 409,
    detail: /relationship globex already federates with globex\.example/,
  })
  const twice = { ...own, trustDomain: 'x.example' }
  t.match((await app.call('POST', PATH, { body: { name: 'two', domains: [twice, twice] } })).body, {
    detail: /x\.example is named twice/,
  })
  const sameName = { name: 'globex', domains: [{ ...own, trustDomain: 'y.example' }] }
  t.equal((await app.call('POST', PATH, { body: sameName })).status, 409)
})

t.test(
  'FE-41 FE-44 a domain is free again once its relationship is terminated and deleted',
  async (t) => {
    const app = await federationApp(t)
    const peer = await FakePeer.open(t, 'globex.example')
    await app.addPeer(peer)
    const early = await app.call('DELETE', `${PATH}/globex`, { ifMatch: '"v1"' })
    t.match(early.body, { status: 409, detail: /is pending and cannot be deleted/ })
    const over = await app.call('POST', `${PATH}/globex/terminate`, { ifMatch: '"v1"' })
    t.match(over.body.relationship, { state: 'terminated', generation: '2', health: null })
    t.equal((await app.addPeer(peer, { name: 'again' })).status, 409, 'still visible')
    const again = await app.call('POST', `${PATH}/globex/terminate`, { ifMatch: '*' })
    t.equal(again.status, 409)
    t.equal((await app.call('DELETE', `${PATH}/globex`, { ifMatch: '*' })).status, 200)
    t.equal((await app.call('GET', `${PATH}/globex`)).status, 404)
    const [domain] = spiffePeer(peer)['domains'] as [Record<string, unknown>]
    const bare = { name: 'globex', domains: [{ ...domain, bundle: undefined }] }
    t.match(
      (await app.call('POST', PATH, { body: bare })).body.detail,
      /needs one bundle/,
      'from the beginning',
    )
    t.equal((await app.addPeer(peer)).status, 201)
  },
)

t.test(
  'FE-08 what can change needs the current version; what is pinned is no field at all',
  async (t) => {
    const app = await federationApp(t)
    const peer = await FakePeer.open(t, 'globex.example')
    await app.addPeer(peer)
    const change = (body: object, ifMatch?: string) =>
      app.call('PATCH', `${PATH}/globex`, { body, ...(ifMatch === undefined ? {} : { ifMatch }) })
    t.equal((await change({ note: 'x' })).status, 428)
    t.equal((await change({ note: 'x' }, '"v9"')).status, 412)
    t.match((await change({ note: 'x', hintMaxSeconds: 120 }, '"v1"')).body, {
      note: 'x',
      hintMaxSeconds: 120,
      version: '2',
    })
    t.equal((await change({ domains: [] }, '"v2"')).status, 400)
    t.equal((await change({ endpointUrl: peer.url }, '"v2"')).status, 400)
    t.match(
      (await change({ hintMinSeconds: 500 }, '"v2"')).body.detail,
      /is above hintMaxSeconds 120/,
    )
    t.match((await change({ note: null, name: 'globex-prod' }, '"v2"')).body, {
      name: 'globex-prod',
      note: null,
    })
    t.equal((await app.call('GET', `${PATH}/globex-prod`)).status, 200)
    const records = await app.database.db
      .selectFrom('audit_record')
      .select(['action', 'actor', 'object', 'body'])
      .where('action', '=', 'relationship.update')
      .execute()
    t.equal(records.length, 2)
    const last = JSON.parse(text(records[1]?.body ?? new Uint8Array()))
    t.match(last.body, { before: { note: 'x', name: 'globex' }, after: { name: 'globex-prod' } })
  },
)

t.test('FE-08 making a relationship leaves every pinned parameter in the audit log', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  const record = await app.database.db
    .selectFrom('audit_record')
    .select(['actor', 'mesh_id', 'body'])
    .where('action', '=', 'relationship.create')
    .executeTakeFirstOrThrow()
  t.match(record, { actor: 'tester', mesh_id: 'acme' })
  t.match(JSON.parse(text(record.body)).body, {
    domains: [
      {
        trustDomain: 'globex.example',
        endpointUrl: peer.url,
        endpointSpiffeId: peer.endpointId,
        givenBundleDigest: /^[0-9a-f]{64}$/,
      },
    ],
  })
})

t.test(
  'a static relationship is active at once: its bundle was verified by the hand that gave it',
  async (t) => {
    const app = await federationApp(t)
    const peer = await FakePeer.open(t, 'globex.example')
    const body = {
      name: 'globex',
      domains: [{ trustDomain: 'globex.example', source: 'static', bundle: text(peer.document) }],
    }
    t.match((await app.call('POST', PATH, { body })).body, {
      state: 'active',
      health: 'ok',
      waitingFor: [],
      domains: [{ poll: null }],
    })
    t.equal((await app.peerBundles.of(app.meshId)).size, 1)
    t.match((await app.call('POST', `${PATH}/globex/refresh`, { body: {} })).body, {
      status: 409,
      detail: /given by hand/,
      next: /entente bundle set globex/,
    })
    await app.poll()
    t.equal(peer.requests.length, 0, 'nothing is polled')
    const empty = {
      ...body,
      name: 'other',
      domains: [{ ...body.domains[0], trustDomain: 'o.example', bundle: '{"keys":[]}' }],
    }
    t.match(
      (await app.call('POST', PATH, { body: empty })).body.detail,
      /no authority that can be used/,
    )
  },
)

t.test('FE-09 making a relationship with a peer makes none in the other direction', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  t.same([...(await app.peerBundles.of(app.meshId)).keys()], ['globex.example'])
  const served = await app.database.db
    .selectFrom('relationship')
    .select(['name', 'their_consent'])
    .execute()
  t.same(served, [{ name: 'globex', their_consent: 'assumed' }])
  t.equal(peer.requests.length, 1, 'the peer was asked for its bundle and for nothing else')
})

t.test('relationships of many domains wait for each of them', async (t) => {
  const app = await federationApp(t)
  const one = await FakePeer.open(t, 'one.globex.example')
  const two = await FakePeer.open(t, 'two.globex.example')
  two.behaviour = (_request, response) => response.writeHead(503).end()
  const domains = [one, two].flatMap((peer) => spiffePeer(peer)['domains'] as object[])
  await app.call('POST', PATH, { body: { name: 'globex', domains } })
  await app.poll()
  t.match(await app.show(), {
    state: 'pending',
    waitingFor: ['a first verified bundle of two.globex.example'],
    health: 'failing',
  })
  t.equal((await app.peerBundles.of(app.meshId)).size, 0, 'nothing of it is trusted yet')
})

t.test('names are listed in pages, and other meshes see nothing of them', async (t) => {
  const app = await federationApp(t)
  const { db } = app.database
  const { makeMesh, testKeyring } = await import('../support/meshes.ts')
  await makeMesh(db, testKeyring(), { meshId: 'other', now: app.clock.now() })
  for (const name of ['a', 'b', 'c']) {
    const root = await FakeAuthority.root(`${name}.example`)
    const document = bundleOf(`${name}.example` as never, {
      sequence: 1n,
      hint: 300,
      roots: [root],
    })
    const domains = [{ trustDomain: `${name}.example`, source: 'static', bundle: text(document) }]
    await app.call('POST', PATH, { body: { name, domains } })
  }
  const first = (await app.call('GET', `${PATH}?limit=2`)).body
  t.same(
    first.items.map(({ name }: { name: string }) => name),
    ['a', 'b'],
  )
  const second = (await app.call('GET', `${PATH}?limit=2&cursor=${first.nextCursor}`)).body
  t.same(
    second.items.map(({ name }: { name: string }) => name),
    ['c'],
  )
  t.equal(second.nextCursor, null)
  t.same((await app.call('GET', '/meshes/other/relationships')).body.items, [])
  for (const path of ['a', 'a/bundles/a.example', 'a/bundles/a.example/revisions']) {
    t.equal((await app.call('GET', `/meshes/other/relationships/${path}`)).status, 404)
  }
  t.equal((await app.call('GET', '/meshes/nowhere/relationships')).status, 404)
})

t.test(
  'a name that was given up can be used again, its reader gets a label of its own',
  async (t) => {
    const app = await federationApp(t)
    const peer = await FakePeer.open(t, 'globex.example')
    const second = await FakePeer.open(t, 'initech.example')
    await app.addPeer(peer)
    await app.call('PATCH', `${PATH}/globex`, { body: { name: 'old' }, ifMatch: '*' })
    t.equal((await app.addPeer(second)).status, 201)
    const labels = await app.database.db.selectFrom('reader').select('label').execute()
    t.match(labels.map(({ label }) => label).toSorted(), ['globex', /^globex-[0-9a-f]{8}$/])
  },
)
