import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parseBundle } from '../../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { startTestService, type TestService } from '../../support/service.ts'
import { tlsGet } from '../../support/tls-get.ts'

const LEGACY = parseTrustDomain('legacy.example')

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** A service that allows connections to this machine, and an adopted mesh whose SPIRE is a fake peer. */
async function adopted(t: Test, change: object = {}) {
  const service = await startTestService(t, { ENTENTE_EGRESS_ALLOW: 'localhost' })
  const spire = await FakePeer.open(t, LEGACY)
  const answer = await service.admin('POST', '/meshes/legacy/adopt', {
    trustDomain: LEGACY,
    source: 'https_spiffe',
    endpointUrl: spire.url,
    endpointSpiffeId: spire.endpointId,
    bundle: text(spire.document),
    endpointTrustDomain: 'entente.legacy.example',
    ...change,
  })
  return { service, spire, answer }
}

/** Refreshes once no scheduled poll is in flight. */
async function refresh(service: TestService) {
  for (let turn = 0; turn < 200; turn += 1) {
    const path = '/meshes/legacy/relationships/source-legacy-example/refresh'
    const answer = await service.admin('POST', path, {})
    if (answer.status !== 409) return answer
    await delay(50)
  }
  throw new Error('a poll was in flight for 10 s')
}

/** What our endpoint publishes for the adopted domain, once it holds this many authorities. */
async function published(service: TestService, count: number) {
  const url = `${service.publicUrl}/bundles/${LEGACY}`
  for (let turn = 0; turn < 200; turn += 1) {
    const { status, body } = await tlsGet(url)
    if (status === 200) {
      const { bundle } = parseBundle(LEGACY, body)
      if (bundle.x509Authorities.length === count) return bundle
    }
    await delay(50)
  }
  throw new Error(`no bundle with ${count} authorities within 10 s`)
}

t.test(
  'a mesh whose SPIRE goes on signing is adopted and published with our sequence',
  async (t) => {
    const { service, spire, answer } = await adopted(t)
    t.equal(answer.status, 200)
    t.match(answer.body, {
      source: 'source-legacy-example',
      warnings: [],
      mesh: {
        meshId: 'legacy',
        trustDomains: [
          { name: 'entente.legacy.example', issuer: 'managed', isPrimary: true },
          { name: LEGACY, issuer: 'observed', isPrimary: false, selfServing: false },
        ],
      },
    })
    t.equal((await refresh(service)).status, 200)
    const first = await published(service, 1)
    t.same(first.x509Authorities[0]?.certificate, spire.root.der)
    t.ok((first.sequence ?? 0n) > 1n, 'ours, not the 1 of the source')

    const next = await FakeAuthority.root(LEGACY)
    spire.document = spire.bundle(2n, { roots: [spire.root, next] })
    await refresh(service)
    const second = await published(service, 2)
    t.ok((second.sequence ?? 0n) > (first.sequence ?? 0n))
    t.equal(second.refreshHintSeconds, 300)
  },
)

t.test(
  'nothing of an observed trust domain is signed here; the refusal names who signs',
  async (t) => {
    const { service, spire } = await adopted(t)
    await refresh(service)
    const entry = await service.admin('POST', '/meshes/legacy/entries', {
      spiffeId: `spiffe://${LEGACY}/web`,
    })
    t.equal(entry.status, 201)
    const token = await service.admin('POST', '/meshes/legacy/join-tokens', {
      spiffeId: `spiffe://${LEGACY}/web`,
    })
    t.equal(token.status, 409)
    t.match(token.body, { code: 'ISSUER_ELSEWHERE' })
    t.ok(token.body.detail.includes(spire.url), token.body.detail)
  },
)

t.test('with policy approve, a new authority of the present system is not published', async (t) => {
  const { service, spire } = await adopted(t, { changePolicy: 'approve' })
  await refresh(service)
  await published(service, 1)
  const thief = await FakeAuthority.root(LEGACY)
  spire.document = spire.bundle(2n, { roots: [spire.root, thief] })
  t.equal((await refresh(service)).body.outcomes[0].outcome, 'quarantined')
  await delay(500)
  t.equal((await published(service, 1)).x509Authorities.length, 1)
})

t.test('a mesh adopted from PEM needs no endpoint of the present system', async (t) => {
  const { pem, der } = await FakeAuthority.root('cluster.local')
  const service = await startTestService(t)
  const answer = await service.admin('POST', '/meshes/old/adopt', {
    trustDomain: 'cluster.local',
    source: 'static',
    bundlePem: pem,
    endpointTrustDomain: 'entente.old.example',
  })
  t.equal(answer.status, 200)
  t.match(answer.body.warnings[0], /cannot federate with this one/)
  for (let turn = 0; turn < 100; turn += 1) {
    const { status, body } = await tlsGet(`${service.publicUrl}/bundles/cluster.local`)
    if (status === 200) {
      const { bundle } = parseBundle(parseTrustDomain('cluster.local'), body)
      t.same(bundle.x509Authorities[0]?.certificate, der)
      return
    }
    await delay(50)
  }
  t.fail('the bundle was not published')
})

t.test(
  'an observed trust domain becomes managed: our root beside theirs, then ours alone',
  async (t) => {
    const { service } = await adopted(t)
    await refresh(service)
    await published(service, 1)
    const early = await service.admin('POST', `/meshes/legacy/trust-domains/${LEGACY}/release`)
    t.equal(early.status, 409, 'nobody would sign')
    t.match(early.body.next, /mesh manage legacy/)

    const managed = await service.admin('POST', `/meshes/legacy/trust-domains/${LEGACY}/manage`)
    t.equal(managed.status, 200)
    await published(service, 2)
    const list = await service.admin('GET', '/meshes/legacy/authorities')
    const ours = list.body.items.filter(
      (one: { trustDomain: string }) => one.trustDomain === LEGACY,
    )
    const states = ours.map((one: { state: string }) => one.state)
    t.ok(states.length >= 2 && states.every((state: string) => state === 'prepared'), states.join())

    const released = await service.admin('POST', `/meshes/legacy/trust-domains/${LEGACY}/release`)
    t.equal(released.status, 409, 'ours does not sign yet')
  },
)

t.test('a service without an identity to serve under says how to get one', async (t) => {
  const { answer } = await adopted(t, { endpointTrustDomain: undefined })
  t.match(answer, {
    status: 400,
    body: { code: 'INVALID_REQUEST', errors: [{ pointer: '/endpointTrustDomain' }] },
  })
  t.match(answer.body.next, /--endpoint-trust-domain/)
})

t.test(
  'a source is shown among the relationships, serves no workload and cannot be ended',
  async (t) => {
    const { service } = await adopted(t)
    await refresh(service)
    const shown = await service.admin('GET', '/meshes/legacy/relationships/source-legacy-example')
    t.match(shown.body, { state: 'active', health: 'ok', readerUrl: null })
    const ended = await service.admin(
      'POST',
      '/meshes/legacy/relationships/source-legacy-example/terminate',
      undefined,
      { 'if-match': shown.etag ?? '' },
    )
    t.match(ended, { status: 409, body: { next: /mesh release/ } })
  },
)
