import t from 'tap'
import { type RelationshipDomainView } from '../../../src/federation/api.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { verifyX509Svid } from '../../../src/pki/verify-chain.ts'
import { splitPem } from '../../../src/pki/pem.ts'
import { behave, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { type FederationApp, federationApp, type FederationAppOptions } from '../federation-app.ts'
import { until } from '../../support/until.ts'

const PATH = '/meshes/acme/relationships'
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const globex = parseTrustDomain('globex.example')

/** A service that federates with one peer, polled once. */
const federated = async (
  t: Parameters<typeof federationApp>[0],
  options: FederationAppOptions = {},
) => {
  const app = await federationApp(t, options)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  return { app, peer }
}
const domainOf = async (app: FederationApp): Promise<RelationshipDomainView> => {
  const [domain] = (await app.show()).domains
  if (domain === undefined) throw new Error('no domain')
  return domain
}
const inForce = async (app: FederationApp) => (await app.peerBundles.of(app.meshId)).get(globex)
const rootsInForce = async (app: FederationApp) =>
  ((await inForce(app))?.bundle.x509Authorities ?? []).map(({ certificate }) =>
    Buffer.from(certificate).toString('base64'),
  )
const base64 = (root: FakeAuthority) => Buffer.from(root.der).toString('base64')
const audited = (app: FederationApp, action: string) =>
  app.database.db
    .selectFrom('audit_record')
    .select(['actor', 'object', 'body'])
    .where('action', '=', action)
    .orderBy('id')
    .execute()

/** Polls the peer, and does something else while its answer is on the way. */
const pollWhile = async (
  { app, peer }: { app: FederationApp; peer: FakePeer },
  act: () => Promise<unknown>,
) => {
  const answer = behave.serve(peer)
  const arrived = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  peer.behaviour = (request, response) => {
    arrived.resolve()
    void held.promise.then(() => answer(request, response))
  }
  const polling = app.pollLater()
  await arrived.promise
  await act()
  held.resolve()
  await polling
}

t.test(
  'FE-04 FE-22 the first fetch makes a relationship active, with an audit record and a revision',
  async (t) => {
    const { app, peer } = await federated(t)
    t.match(await app.show(), { state: 'active', health: 'ok', waitingFor: [], version: '2' })
    t.match(await domainOf(app), {
      bundle: { n: '2', sequence: '1', origin: 'fetched' },
      poll: { failures: 0, lastError: null, intervalSeconds: 300 },
    })
    t.same(await rootsInForce(app), [base64(peer.root)])
    const [accepted] = await audited(app, 'peer-bundle.accept')
    t.match(accepted, {
      actor: 'timer:federation',
      object: 'relationship/globex/bundles/globex.example',
    })
    t.match(JSON.parse(text(accepted?.body ?? new Uint8Array())).body, {
      sequence: '1',
      added: [],
      removed: [],
      kept: 1,
      verifiedBy: { how: 'fetch', presentedIds: [peer.endpointId], chainSha256: /^[0-9a-f]{64}$/ },
    })
    t.equal((await audited(app, 'relationship.activate')).length, 1)
  },
)

t.test('FE-04 FE-06 FE-19 https_web works the same, under its host’s certificate', async (t) => {
  const web = await FakeAuthority.root('web-ca.example')
  const app = await federationApp(t, { webRoots: [web] })
  const peer = await FakePeer.open(t, 'globex.example')
  peer.present(await web.issue({ dnsNames: ['localhost'] }))
  const domains = [{ trustDomain: 'globex.example', source: 'https_web', endpointUrl: peer.url }]
  await app.call('POST', PATH, { body: { name: 'globex', domains } })
  await app.poll()
  t.match(await app.show(), { state: 'active', health: 'ok' })
  peer.present(await peer.root.issue({ dnsNames: ['localhost'], uris: [peer.endpointId] }))
  peer.document = peer.bundle(2n)
  await app.pollLater()
  t.match(await app.show(), {
    health: 'failing',
    healthReason: /does not chain to a public root/,
    domains: [{ bundle: { sequence: '1' } }],
  })
})

t.test(
  'an unchanged bundle writes no revision and no audit record, by 304 and by content',
  async (t) => {
    const { app, peer } = await federated(t)
    await app.pollLater()
    t.match(peer.requests.at(-1)?.etag, /^"/, 'conditional')
    peer.behaviour = behave.answer(200, peer.document)
    await app.pollLater()
    const revisions = (await app.call('GET', `${PATH}/globex/bundles/globex.example/revisions`))
      .body
    t.same(
      revisions.items.map(({ n, origin, disposition }: Record<string, string>) => [
        n,
        origin,
        disposition,
      ]),
      [
        ['2', 'fetched', 'current'],
        ['1', 'manual', 'superseded'],
      ],
    )
    t.equal((await audited(app, 'peer-bundle.accept')).length, 1)
    t.equal((await domainOf(app)).poll?.failures, 0)
  },
)

t.test(
  'FE-40 BU-17 a new bundle replaces the stored one whole, and is in force at once',
  async (t) => {
    const { app, peer } = await federated(t)
    const old = peer.root
    const fresh = await FakeAuthority.root('globex.example')
    peer.document = peer.bundle(2n, { roots: [old, fresh] })
    await app.pollLater()
    await app.clock.advance(0)
    t.same((await rootsInForce(app)).toSorted(), [base64(old), base64(fresh)].toSorted())
    peer.document = peer.bundle(3n, { roots: [fresh] })
    await app.pollLater()
    t.same(await untilRoots(app, 1), [base64(fresh)])
    const records = await audited(app, 'peer-bundle.accept')
    t.match(JSON.parse(text(records.at(-1)?.body ?? new Uint8Array())).body, {
      sequenceBefore: '2',
      sequence: '3',
      added: [],
      removed: [/^x509 sha256:/],
      kept: 1,
    })
  },
)

/** Roots in force once there are that many; a change travels by NOTIFY. */
const untilRoots = async (app: FederationApp, count: number) =>
  until(
    () => rootsInForce(app),
    ({ length }) => length === count,
  )

t.test(
  'FE-23 after the first fetch the latest stored bundle authenticates, the bootstrap no longer',
  async (t) => {
    const { app, peer } = await federated(t)
    const old = peer.root
    const fresh = await FakeAuthority.root('globex.example')
    peer.document = peer.bundle(2n, { roots: [old, fresh] })
    await app.pollLater()
    peer.root = fresh
    await peer.presentId(peer.endpointId)
    peer.document = peer.bundle(3n, { roots: [fresh] })
    await app.pollLater()
    t.match(await domainOf(app), { bundle: { sequence: '3' }, poll: { failures: 0 } })
    peer.root = old
    await peer.presentId(peer.endpointId)
    await app.pollLater()
    t.match(await app.show(), {
      health: 'failing',
      healthReason: /does not chain to the stored bundle of the domain of/,
    })
    const restarted = await federationApp(t, {
      database: app.database,
      clock: app.clock,
      owner: 'b',
    })
    await restarted.pollLater()
    t.match(await restarted.show(), { health: 'failing' }, 'nor after a restart')
  },
)

t.test('FE-21 a relationship takes no other ID under the right root', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await peer.presentId('spiffe://globex.example/other')
  await app.addPeer(peer)
  await app.poll()
  t.match(await app.show(), {
    state: 'pending',
    health: 'failing',
    healthReason: /shows SPIFFE ID spiffe:\/\/globex\.example\/other, wanted/,
  })
  t.equal(peer.requests.length, 0)
})

t.test(
  'FE-26 FE-38 BU-15 an empty bundle takes all trust away; the way out is a bundle set by hand',
  async (t) => {
    const { app, peer } = await federated(t)
    peer.document = peer.bundle(2n, { roots: [] })
    await app.pollLater()
    t.match(await app.show(), {
      state: 'active',
      health: 'needs-bootstrap',
      healthReason: /has no X\.509 authority, so its endpoint cannot be authenticated/,
      wayOut: /entente bundle set globex/,
    })
    t.same(await untilRoots(app, 0), [])
    t.equal((await inForce(app))?.sequence, 2n, 'an empty bundle is one')
    t.match(app.alarms.list(), [
      { code: 'peer.needs-bootstrap', object: 'acme/globex/globex.example' },
    ])
    const asked = peer.requests.length
    peer.document = peer.bundle(3n)
    await app.pollLater()
    t.equal(peer.requests.length, asked, 'fails closed without contacting the server')
    const set = await app.call('POST', `${PATH}/globex/bundles/globex.example`, {
      body: { document: text(peer.bundle(1n)) },
    })
    t.match(set.body, { sequence: '1', added: [/^x509/], removed: [], kept: 0, skipped: [] })
    t.equal((await rootsInForce(app)).length, 1, 'in force at once')
    t.match(await domainOf(app), { bundle: { origin: 'manual', sequence: '1' } })
    await app.poll()
    t.match(await domainOf(app), { health: 'ok', bundle: { origin: 'fetched', sequence: '3' } })
    t.same(app.alarms.list(), [])
  },
)

t.test(
  'FE-38 a bundle set by hand has no say in the order: the next fetch replaces it, a lower sequence too',
  async (t) => {
    const { app, peer } = await federated(t)
    const hand = peer.bundle(99n, {
      roots: [peer.root, await FakeAuthority.root('globex.example')],
    })
    await app.call('POST', `${PATH}/globex/bundles/globex.example`, {
      body: { document: text(hand) },
    })
    t.equal((await rootsInForce(app)).length, 2)
    await app.poll()
    t.equal(peer.requests.at(-1)?.etag, undefined, 'only the ETag of the document in use is sent')
    t.match(await domainOf(app), { bundle: { sequence: '1', origin: 'fetched' } })
    t.equal((await untilRoots(app, 1)).length, 1)
  },
)

t.test(
  'FE-37 a lower sequence is refused, shown, alarmed, and can be overridden once',
  async (t) => {
    const { app, peer } = await federated(t)
    peer.document = peer.bundle(7n)
    await app.pollLater()
    peer.document = peer.bundle(6n)
    await app.pollLater()
    t.match(await app.show(), {
      health: 'failing',
      healthReason: /went back from sequence 7 to 6; the stored one stays/,
      domains: [{ bundle: { sequence: '7' } }],
    })
    t.match(app.alarms.list(), [{ code: 'peer.sequence-regressed' }])
    const refresh = (body: object) => app.call('POST', `${PATH}/globex/refresh`, { body })
    t.match((await refresh({})).body.outcomes, [
      {
        outcome: 'failed',
        error: { code: 'BUNDLE_SEQUENCE_REGRESSED', next: /--accept-lower-sequence/ },
      },
    ])
    t.match((await refresh({ acceptLowerSequence: true })).body, {
      outcomes: [{ outcome: 'accepted', sequence: '6', warnings: [/accepted by hand/] }],
      relationship: { health: 'ok', domains: [{ bundle: { sequence: '6' } }] },
    })
    const record = (await audited(app, 'peer-bundle.accept')).at(-1)
    t.equal(record?.actor, 'tester')
    t.match(JSON.parse(text(record?.body ?? new Uint8Array())).body, {
      acceptedLowerSequence: true,
    })
    t.same(app.alarms.list(), [])
  },
)

t.test('FE-37 the same sequence with other content is accepted with a warning', async (t) => {
  const { app, peer } = await federated(t)
  peer.document = peer.bundle(1n, {
    roots: [peer.root, await FakeAuthority.root('globex.example')],
  })
  await app.pollLater()
  t.equal((await untilRoots(app, 2)).length, 2)
  t.match(
    app.lines.find(({ event, reason }) => event === 'federation.fetched' && reason !== undefined),
    { reason: /other content under the same sequence 1/ },
  )
})

const HTML = '<html><body>down for maintenance</body></html>'

t.test(
  'FE-36 BU-12 whatever is no bundle leaves the stored one in force and the reason in words',
  async (t) => {
    const { app, peer } = await federated(t, { totalMs: 1200 })
    const cases: [ReturnType<typeof behave.silent>, RegExp][] = [
      [behave.answer(500), /answered 500, wanted 200/],
      [behave.answer(404), /answered 404/],
      [behave.answer(200, HTML), /not JSON|JSON|malformed|unexpected/i],
      [behave.answer(200, '{}'), /"keys" is no array/],
      [behave.answer(200, '{"keys":null}'), /"keys" is no array/],
      [behave.answer(200, '[]'), /no JSON object/],
      [behave.answer(200, '{"keys":[],"keys":[]}'), /keys/],
      [behave.truncated(peer.document), /cut|not as long/],
      [behave.endless(), /larger than/],
      [behave.drip(100), /no complete answer/],
      [behave.redirect('http://localhost/'), /no valid endpoint URL/],
    ]
    let failures = 0
    for (const [behaviour, reason] of cases) {
      peer.behaviour = behaviour
      await app.pollLater()
      failures += 1
      const domain = await domainOf(app)
      t.match(domain.poll, { failures, lastError: reason }, String(reason))
      t.equal(domain.bundle?.sequence, '1')
    }
    t.same(await rootsInForce(app), [base64(peer.root)])
    t.equal((await app.show()).state, 'active', 'health never changes trust')
    peer.behaviour = behave.serve(peer)
    await app.pollLater(3600)
    t.match(await domainOf(app), { health: 'ok', poll: { failures: 0 } })
    t.equal(app.lines.filter(({ event }) => event === 'relationship.failing').length, 1)
    t.equal(app.lines.filter(({ event }) => event === 'relationship.recovered').length, 1)
    t.same(
      (await audited(app, 'peer-bundle.accept')).length,
      1,
      'failing and its end are events, not audit records',
    )
  },
)

t.test('FE-43 a peer of hostile sizes is cut and counted as failed', async (t) => {
  const { app, peer } = await federated(t)
  peer.behaviour = behave.answer(200, Buffer.alloc(10 * 1024 * 1024, ' '))
  await app.pollLater()
  t.match((await domainOf(app)).poll?.lastError, /larger than 1048576 bytes/)
})

t.test(
  'FE-28 a redirect is not remembered: the next poll begins at the configured URL',
  async (t) => {
    const { app, peer } = await federated(t)
    peer.behaviour = (request, response) =>
      (request.url === '/bundle' ? behave.redirect('/moved', 301) : behave.serve(peer))(
        request,
        response,
      )
    peer.document = peer.bundle(2n)
    await app.pollLater()
    t.match(await domainOf(app), { bundle: { sequence: '2' }, endpointUrl: peer.url })
    peer.behaviour = behave.serve(peer)
    const before = peer.requests.length
    await app.pollLater()
    t.same(
      peer.requests.slice(before).map(({ path }) => path),
      ['/bundle'],
    )
  },
)

t.test('whatever stands in a peer’s certificate, the outcome of its poll is stored', async (t) => {
  const { app, peer } = await federated(t)
  const stranger = await FakeAuthority.root('globex.example')
  peer.present(await stranger.issue({ uris: ['spiffe://globex.example/\0\u001b[31m'] }))
  await app.pollLater()
  t.match((await domainOf(app)).poll, {
    failures: 1,
    lastError: /does not chain .*it shows spiffe:\/\/globex\.example\/\?\?\[31m/,
  })
})

t.test('FE-29 redirects can be switched off', async (t) => {
  const app = await federationApp(t, { redirects: 'refuse' })
  const peer = await FakePeer.open(t, 'globex.example')
  peer.behaviour = behave.redirect('/moved')
  await app.addPeer(peer)
  await app.poll()
  t.match((await app.show()).healthReason, /redirects to "\/moved", and redirects are switched off/)
})

t.test(
  'BU-11 BU-13 keys that we do not know are skipped and said, the rest is in force',
  async (t) => {
    const { app, peer } = await federated(t)
    const parsed = JSON.parse(text(peer.bundle(2n)))
    const odd = {
      ...parsed,
      keys: [...parsed.keys, { kty: 'AKP', use: 'x509-svid' }, { use: 'wit-svid' }],
    }
    peer.document = new TextEncoder().encode(JSON.stringify(odd))
    await app.pollLater()
    t.match(await domainOf(app), { bundle: { sequence: '2', x509Authorities: 1 } })
    const shown = (await app.call('GET', `${PATH}/globex/bundles/globex.example`)).body
    t.equal(shown.document, text(peer.document), 'kept as it was received')
    t.match(shown.reason, /key 1 of globex\.example .*; key 2 of/)
    const [current] = (await app.peerBundles.of(app.meshId)).values()
    t.notMatch(
      text(current?.document ?? new Uint8Array()),
      /AKP|wit-svid/,
      'handed on without them',
    )
  },
)

t.test('BU-04 a sequence beyond doubles survives fetching, storing and showing', async (t) => {
  const { app, peer } = await federated(t)
  for (const sequence of [2n ** 53n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
    peer.document = peer.bundle(sequence)
    await app.pollLater()
    t.equal((await domainOf(app)).bundle?.sequence, sequence.toString())
  }
  peer.document = peer.bundle(2n ** 64n - 2n)
  await app.pollLater()
  t.match((await domainOf(app)).poll?.lastError, /went back/)
})

t.test(
  'BU-16 FE-39 a bundle is stored and handed on under its own domain, never pooled',
  async (t) => {
    const app = await federationApp(t)
    const domains = ['a.example', 'b.example', 'c.example']
    const peers = await Promise.all(domains.map((domain) => FakePeer.open(t, domain)))
    for (const [turn, peer] of peers.entries()) await app.addPeer(peer, { name: `peer-${turn}` })
    await app.poll()
    const bundles = await app.peerBundles.of(app.meshId)
    t.same([...bundles.keys()].toSorted(), domains)
    const pooled = [...bundles.values()].flatMap(({ bundle }) =>
      bundle.x509Authorities.map(({ certificate }) => certificate),
    )
    const accepts = (chain: readonly Uint8Array[], anchors: 'by domain' | 'pooled'): boolean => {
      try {
        verifyX509Svid(chain, {
          anchorsOf: (td) =>
            anchors === 'pooled'
              ? pooled
              : bundles.get(td)?.bundle.x509Authorities.map(({ certificate }) => certificate),
          now: app.clock.now(),
        })
        return true
      } catch {
        return false
      }
    }
    for (const signer of peers) {
      for (const domain of domains) {
        const { cert } = await signer.root.issue({ uris: [`spiffe://${domain}/web`] })
        const chain = splitPem(cert)
        t.equal(
          accepts(chain, 'by domain'),
          signer.trustDomain === domain,
          `${signer.trustDomain} signs ${domain}`,
        )
        t.equal(accepts(chain, 'pooled'), true, 'the twin that pools anchors takes every one')
      }
    }
  },
)

t.test('FE-41 ending a relationship removes its bundle and stops every request', async (t) => {
  const { app, peer } = await federated(t)
  const dry = await app.call('POST', `${PATH}/globex/terminate?dryRun=true`)
  t.match(dry.body, {
    ended: [{ kind: 'trust-domain', name: 'globex.example', effect: /no longer accepted/ }],
    next: ['entente federation terminate globex'],
  })
  t.equal((await app.show()).state, 'active', 'the dry run changed nothing')
  t.equal((await rootsInForce(app)).length, 1)
  t.equal((await app.call('POST', `${PATH}/globex/terminate`)).status, 428)
  await app.call('POST', `${PATH}/globex/terminate`, { ifMatch: '"v2"' })
  t.equal((await app.peerBundles.of(app.meshId)).size, 0)
  const asked = peer.requests.length
  await app.pollLater(86_400)
  t.equal(peer.requests.length, asked)
  t.equal((await app.call('GET', `${PATH}/globex/bundles/globex.example`)).status, 404)
  t.equal(
    (await app.call('GET', `${PATH}/globex/bundles/globex.example/revisions`)).body.items.length,
    2,
    'history stays until it is deleted',
  )
  t.match(
    (await app.call('POST', `${PATH}/globex/refresh`, { body: {} })).body.detail,
    /terminated/,
  )
  const set = await app.call('POST', `${PATH}/globex/bundles/globex.example`, {
    body: { document: text(peer.document) },
  })
  t.equal(set.status, 409)
})

t.test('FE-41 what a fetch brings after its relationship ended is thrown away', async (t) => {
  const { app, peer } = await federated(t)
  peer.document = peer.bundle(2n)
  await pollWhile({ app, peer }, () =>
    app.call('POST', `${PATH}/globex/terminate`, { ifMatch: '*' }),
  )
  t.match(
    app.lines.findLast(({ event }) => event === 'federation.fetched'),
    { outcome: 'discarded' },
  )
  t.equal((await app.peerBundles.of(app.meshId)).size, 0)
  const current = await app.database.db
    .selectFrom('peer_bundle_revision')
    .select('n')
    .where('disposition', '=', 'current')
    .execute()
  t.same(current, [])
})

t.test('FE-38 what a fetch brings after a bundle was set by hand is thrown away too', async (t) => {
  const { app, peer } = await federated(t)
  peer.document = peer.bundle(2n)
  await pollWhile({ app, peer }, () =>
    app.call('POST', `${PATH}/globex/bundles/globex.example`, {
      body: { document: text(peer.bundle(5n)) },
    }),
  )
  t.match(await domainOf(app), { bundle: { origin: 'manual', sequence: '5' } })
})

t.test('a bundle that arrives after a rename is audited under the new name', async (t) => {
  const { app, peer } = await federated(t)
  peer.document = peer.bundle(2n)
  await pollWhile({ app, peer }, () =>
    app.call('PATCH', `${PATH}/globex`, { ifMatch: '*', body: { name: 'hooli' } }),
  )
  const accepted = await audited(app, 'peer-bundle.accept')
  t.equal(accepted.at(-1)?.object, 'relationship/hooli/bundles/globex.example')
})

t.test('refresh now answers how each domain fared, and a dry run stores nothing', async (t) => {
  const { app, peer } = await federated(t)
  peer.document = peer.bundle(2n)
  const dry = await app.call('POST', `${PATH}/globex/refresh?dryRun=true`, { body: {} })
  t.match(dry.body.outcomes, [
    { trustDomain: 'globex.example', outcome: 'accepted', sequence: '2' },
  ])
  t.equal((await domainOf(app)).bundle?.sequence, '1')
  const now = await app.call('POST', `${PATH}/globex/refresh`, { body: {} })
  t.match(now.body, {
    outcomes: [{ outcome: 'accepted' }],
    relationship: { domains: [{ bundle: { sequence: '2' } }] },
  })
  t.match((await app.call('POST', `${PATH}/globex/refresh`, { body: {} })).body.outcomes, [
    { outcome: 'unchanged' },
  ])
})

t.test('FE-42 every fetch is logged, success and failure, without secrets', async (t) => {
  const { app, peer } = await federated(t)
  peer.behaviour = behave.answer(500)
  await app.pollLater()
  const fetched = app.lines.filter(({ event }) => event === 'federation.fetched')
  t.match(fetched, [
    {
      level: 'info',
      meshId: 'acme',
      relationship: 'globex',
      trustDomain: 'globex.example',
      url: peer.url,
      resolvedAddress: /127\.0\.0\.1|::1/,
      presentedSpiffeId: parseSpiffeId(peer.endpointId),
      certificateSha256: /^[0-9a-f]{64}$/,
      outcome: 'accepted',
      sequence: '1',
    },
    { level: 'warn', outcome: 'failed', code: 'PEER_ANSWER_REFUSED', error: /answered 500/ },
  ])
  for (const line of fetched) t.notMatch(JSON.stringify(line), /withheld|PRIVATE/)
})

t.test('a peer that changes all the time is alarmed and polled slowest', async (t) => {
  const { app, peer } = await federated(t)
  for (let turn = 2n; turn <= 21n; turn += 1n) {
    peer.document = peer.bundle(turn, { hint: 60 })
    await app.pollLater(61)
    await app.pollLater(240)
  }
  const hourly = (await domainOf(app)).poll?.intervalSeconds
  t.equal(hourly, 60, 'twelve changes an hour are fine')
  for (let turn = 22n; turn <= 45n; turn += 1n) {
    peer.document = peer.bundle(turn, { hint: 60 })
    await app.pollLater(61)
  }
  t.equal((await domainOf(app)).poll?.intervalSeconds, 3600)
  t.match(app.alarms.list(), [{ code: 'peer.changes-too-often', message: /changed 21 times/ }])
})
