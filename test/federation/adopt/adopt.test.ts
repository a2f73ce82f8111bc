import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parseBundle } from '../../../src/spiffe/bundle.ts'
import { parseTrustDomain, type TrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { type Answer, startTestService, type TestService } from '../../support/service.ts'
import { tlsGet } from '../../support/tls-get.ts'

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** An adopted mesh whose SPIRE is a fake peer. */
interface Adopted {
  readonly service: TestService
  readonly mesh: string
  readonly trustDomain: TrustDomain
  readonly spire: FakePeer
  readonly answer: Answer
}

/** Has a service adopt a mesh of this name. */
async function adopted(
  t: Test,
  { service, mesh }: Pick<Adopted, 'service' | 'mesh'>,
  change: object = {},
): Promise<Adopted> {
  const trustDomain = parseTrustDomain(`${mesh}.example`)
  const spire = await FakePeer.open(t, trustDomain)
  const answer = await service.admin('POST', `/meshes/${mesh}/adopt`, {
    trustDomain,
    source: 'https_spiffe',
    endpointUrl: spire.url,
    endpointSpiffeId: spire.endpointId,
    bundle: text(spire.document),
    endpointTrustDomain: `entente.${mesh}.example`,
    ...change,
  })
  return { service, mesh, trustDomain, spire, answer }
}

const sourceOf = (mesh: string) => `/meshes/${mesh}/relationships/source-${mesh}-example`

/** Refreshes once no scheduled poll is in flight. */
async function refresh({ service, mesh }: Adopted) {
  for (let turn = 0; turn < 200; turn += 1) {
    const answer = await service.admin('POST', `${sourceOf(mesh)}/refresh`, {})
    if (answer.status !== 409) return answer
    await delay(50)
  }
  throw new Error('a poll was in flight for 10 s')
}

/** What our endpoint publishes for the adopted domain, once it holds this many authorities. */
async function published(
  { service, trustDomain }: Pick<Adopted, 'service' | 'trustDomain'>,
  count: number,
) {
  const url = `${service.publicUrl}/bundles/${trustDomain}`
  for (let turn = 0; turn < 200; turn += 1) {
    const { status, body } = await tlsGet(url)
    if (status === 200) {
      const { bundle } = parseBundle(trustDomain, body)
      if (bundle.x509Authorities.length === count) return bundle
    }
    await delay(50)
  }
  throw new Error(`no bundle with ${count} authorities within 10 s`)
}

t.test('adopting trust domains that other systems sign for', async (t) => {
  const service = await startTestService(t, { ENTENTE_EGRESS_ALLOW: 'localhost' })

  t.test('a mesh whose SPIRE goes on signing is published with our sequence', async (t) => {
    const legacy = await adopted(t, { service, mesh: 'legacy' })
    const { spire, answer } = legacy
    t.equal(answer.status, 200)
    t.match(answer.body, {
      source: 'source-legacy-example',
      warnings: [],
      mesh: {
        meshId: 'legacy',
        trustDomains: [
          { name: 'entente.legacy.example', issuer: 'managed', isPrimary: true },
          { name: 'legacy.example', issuer: 'observed', isPrimary: false, selfServing: false },
        ],
      },
    })
    t.equal((await refresh(legacy)).status, 200)
    const first = await published(legacy, 1)
    t.same(first.x509Authorities[0]?.certificate, spire.root.der)
    t.ok((first.sequence ?? 0n) > 1n, 'ours, not the 1 of the source')

    const next = await FakeAuthority.root(legacy.trustDomain)
    spire.document = spire.bundle(2n, { roots: [spire.root, next] })
    await refresh(legacy)
    const second = await published(legacy, 2)
    t.ok((second.sequence ?? 0n) > (first.sequence ?? 0n))
    t.equal(second.refreshHintSeconds, 300)

    const shown = await service.admin('GET', sourceOf('legacy'))
    t.match(shown.body, { purpose: 'source', state: 'active', health: 'ok', readerUrl: null })
    const ended = await service.admin('POST', `${sourceOf('legacy')}/terminate`, undefined, {
      'if-match': shown.etag ?? '',
    })
    t.match(ended, { status: 409, body: { next: /mesh release/ } }, 'it cannot be ended by itself')
  })

  t.test('nothing of it is signed here; the refusal names who signs', async (t) => {
    const { spire, trustDomain } = await adopted(t, { service, mesh: 'unsigned' })
    const spiffeId = `spiffe://${trustDomain}/web`
    t.equal((await service.admin('POST', '/meshes/unsigned/entries', { spiffeId })).status, 201)
    const token = await service.admin('POST', '/meshes/unsigned/join-tokens', { spiffeId })
    t.match(token, { status: 409, body: { code: 'ISSUER_ELSEWHERE' } })
    t.ok(token.body.detail.includes(spire.url), token.body.detail)
  })

  t.test('with policy approve, a new authority of its system is not published', async (t) => {
    const wary = await adopted(t, { service, mesh: 'wary' }, { changePolicy: 'approve' })
    const { spire } = wary
    await refresh(wary)
    await published(wary, 1)
    const thief = await FakeAuthority.root(wary.trustDomain)
    spire.document = spire.bundle(2n, { roots: [spire.root, thief] })
    t.equal((await refresh(wary)).body.outcomes[0].outcome, 'quarantined')
    await delay(500)
    t.equal((await published(wary, 1)).x509Authorities.length, 1)
  })

  t.test('from PEM it needs no endpoint of the present system', async (t) => {
    const trustDomain = parseTrustDomain('cluster.local')
    const { pem, der } = await FakeAuthority.root(trustDomain)
    const answer = await service.admin('POST', '/meshes/old/adopt', {
      trustDomain,
      source: 'static',
      bundlePem: pem,
      endpointTrustDomain: 'entente.old.example',
    })
    t.equal(answer.status, 200)
    t.match(answer.body.warnings[0], /cannot federate with this one/)
    t.same((await published({ service, trustDomain }, 1)).x509Authorities[0]?.certificate, der)
  })

  t.test('it becomes managed: our root beside theirs, at the gate', async (t) => {
    const handed = await adopted(t, { service, mesh: 'handed' })
    const path = `/meshes/handed/trust-domains/${handed.trustDomain}`
    await refresh(handed)
    await published(handed, 1)
    const early = await service.admin('POST', `${path}/release`)
    t.equal(early.status, 409, 'nobody would sign')
    t.match(early.body.next, /mesh manage handed/)
    t.equal((await service.admin('POST', `${path}/manage`)).status, 200)
    await published(handed, 2)
    const { items } = (await service.admin('GET', '/meshes/handed/authorities')).body
    const states = items
      .filter((one: { trustDomain: string }) => one.trustDomain === handed.trustDomain)
      .map((one: { state: string }) => one.state)
    t.ok(states.length >= 2 && states.every((state: string) => state === 'prepared'), states.join())
    t.equal((await service.admin('POST', `${path}/release`)).status, 409, 'ours does not sign yet')
  })

  t.test('without an identity to serve under, it says how to get one', async (t) => {
    const { answer } = await adopted(
      t,
      { service, mesh: 'nameless' },
      { endpointTrustDomain: undefined },
    )
    t.match(answer, {
      status: 400,
      body: { code: 'INVALID_REQUEST', errors: [{ pointer: '/endpointTrustDomain' }] },
    })
    t.match(answer.body.next, /--endpoint-trust-domain/)
  })
})
