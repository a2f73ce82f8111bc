import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import {
  type DiagnosisView,
  type DoctorStepView,
} from '../../../src/federation/doctor/doctor-api.ts'
import { behave, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import {
  type FederationApp,
  federationApp,
  type FederationAppOptions,
  spiffePeer,
} from '../federation-app.ts'

const PATH = '/meshes/acme/relationships/globex/doctor'

function keyOf({ der }: FakeAuthority): string {
  const spki = new X509Certificate(der).publicKey.export({ format: 'der', type: 'spki' })
  return createHash('sha256').update(spki).digest('hex')
}

async function federated(t: Test, options: FederationAppOptions = {}) {
  const app = await federationApp(t, options)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  return { app, peer }
}

/** One examination; the clock moves on, since they are bound in rate. */
async function examine(app: FederationApp): Promise<DiagnosisView> {
  await app.clock.advance(2000)
  const { status, body } = await app.call('POST', PATH)
  if (status !== 200) throw new Error(JSON.stringify(body))
  return body as DiagnosisView
}

const stepsOf = ({ domains, steps }: DiagnosisView) => [
  ...domains.flatMap((domain) => domain.steps),
  ...steps,
]
const named = (diagnosis: DiagnosisView, name: string): DoctorStepView | undefined =>
  stepsOf(diagnosis).find(({ step }) => step === name)
const outcomes = (diagnosis: DiagnosisView) =>
  diagnosis.domains.flatMap(({ steps }) => steps.map(({ step, outcome }) => `${step} ${outcome}`))

const AFTER = ['document', 'authority', 'sequence', 'hint', 'clock']
const CONNECTION = ['dns', 'egress', 'tcp', 'tls', 'chain', 'spiffe-id', 'http']
/** All steps of a domain when this one fails. */
const failingAt = (failed: string): string[] => {
  const at = CONNECTION.indexOf(failed)
  return [
    ...CONNECTION.map((step, index) =>
      index < at ? `${step} ok` : index === at ? `${step} failed` : `${step} skipped`,
    ),
    ...AFTER.map((step) => `${step} skipped`),
  ]
}

/** A relationship whose endpoint is at another URL. */
async function at(t: Test, url: (peer: FakePeer) => string, options: FederationAppOptions = {}) {
  const app = await federationApp(t, options)
  const peer = await FakePeer.open(t, 'globex.example')
  const body = spiffePeer(peer) as { domains: { endpointUrl: string }[] }
  for (const domain of body.domains) domain.endpointUrl = url(peer)
  const made = await app.call('POST', '/meshes/acme/relationships', { body })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  return { app, peer }
}

const resolvesToNothing = async (host: string): Promise<never> => {
  throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' })
}

const resolvesInside = async () => [
  { address: '10.1.2.3', family: 4 },
  { address: '10.9.9.9', family: 4 },
]

t.test('a healthy peer: every step has its tick', async (t) => {
  const { app, peer } = await federated(t)
  const found = await examine(app)
  t.same(outcomes(found), [
    ...CONNECTION.map((step) => `${step} ok`),
    'document ok',
    'authority ok',
    'sequence ok',
    'hint ok',
    'clock ok',
  ])
  t.equal(found.healthy, true)
  t.match(named(found, 'dns')?.detail, /localhost is 127\.0\.0\.1/)
  t.match(named(found, 'tls')?.detail, /TLSv1\.3/)
  t.match(named(found, 'chain')?.detail, /under .*stored authorit/)
  t.equal(named(found, 'spiffe-id')?.detail, peer.endpointId)
  t.match(named(found, 'authority')?.detail, `key sha256:${keyOf(peer.root)}`)
  t.match(named(found, 'sequence')?.detail, '1, the newest fetched is 1')
  const fingerprints = found.steps.filter(({ step }) => step === 'fingerprints')
  t.match(
    fingerprints.map(({ detail }) => detail),
    [
      /^ours, acme\.example: [0-9]{5}( [0-9]{5}){7}$/,
      /^theirs, globex\.example: [0-9]{5}( [0-9]{5}){7}$/,
    ],
  )
  t.match(named(found, 'their-fetches'), {
    outcome: 'warning',
    detail: /never at the URL that is theirs/,
  })
  t.match(named(found, 'consent'), { outcome: 'ok', detail: /assumed, one-way/ })
  t.match(named(found, 'istio'), { outcome: 'skipped', detail: /pools the anchors/ })
})

t.test('it changes nothing: no poll, no revision, no audit record', async (t) => {
  const { app, peer } = await federated(t)
  const { db } = app.database
  const state = async () => ({
    polls: await db.selectFrom('poll').selectAll().execute(),
    revisions: (await db.selectFrom('peer_bundle_revision').selectAll().execute()).length,
    records: (await db.selectFrom('audit_record').selectAll().execute()).length,
  })
  const before = await state()
  peer.document = peer.bundle(9n, {
    roots: [peer.root, await FakeAuthority.root('globex.example')],
  })
  const found = await examine(app)
  t.equal(stepsOf(found).filter(({ step }) => step === 'authority').length, 2)
  t.match(named(found, 'sequence')?.detail, '9, the newest fetched is 1')
  t.same(await state(), before)
})

t.test('dns: a host that does not resolve', async (t) => {
  const { app } = await at(t, () => 'https://nowhere.example/bundle', {
    resolve: resolvesToNothing,
  })
  const found = await examine(app)
  t.same(outcomes(found), failingAt('dns'))
  t.match(named(found, 'dns')?.detail, /does not resolve/)
  t.equal(found.healthy, false)
})

t.test('egress: what policy refuses is one sentence, and nothing beyond it is told', async (t) => {
  const { app } = await at(t, () => 'https://inner.example:1/bundle', {
    resolve: resolvesInside,
  })
  const found = await examine(app)
  t.same(outcomes(found), failingAt('egress'))
  t.match(named(found, 'egress'), {
    detail: 'egress policy does not open inner.example (10.1.2.3) port 1: it is a private address',
    next: 'entente egress allow inner.example:1',
  })
  t.notMatch(JSON.stringify(found), /10\.9\.9\.9/, 'nor the other addresses')
  const literal = await at(t, () => 'https://10.1.2.3:1/bundle')
  t.same(outcomes(await examine(literal.app)), failingAt('egress'))
})

t.test('tcp: nothing listens', async (t) => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  const { app } = await at(t, () => `https://localhost:${port}/bundle`)
  const found = await examine(app)
  t.same(outcomes(found), failingAt('tcp'))
  t.match(named(found, 'tcp'), { detail: /nothing listens at localhost/, next: /firewall/ })
})

t.test('tls: what answers speaks no TLS', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const { app } = await at(t, () => `https://localhost:${port}/bundle`)
  t.same(outcomes(await examine(app)), failingAt('tls'))
})

t.test('chain: the right ID under a root that is not stored', async (t) => {
  const { app, peer } = await federated(t)
  const stranger = await FakeAuthority.root('globex.example')
  peer.present(await stranger.issue({ uris: [peer.endpointId] }))
  const found = await examine(app)
  t.same(outcomes(found), failingAt('chain'))
  t.match(named(found, 'chain')?.detail, /does not chain to the stored bundle/)
  t.match(named(found, 'tls')?.outcome, 'ok')
})

t.test('spiffe-id: the right chain with another ID', async (t) => {
  const { app, peer } = await federated(t)
  await peer.presentId('spiffe://globex.example/web')
  const found = await examine(app)
  t.same(outcomes(found), failingAt('spiffe-id'))
  t.match(
    named(found, 'spiffe-id')?.detail,
    /shows SPIFFE ID spiffe:\/\/globex\.example\/web, wanted/,
  )
})

t.test('http: an answer that is no 200', async (t) => {
  const { app, peer } = await federated(t)
  peer.behaviour = behave.answer(503)
  const found = await examine(app)
  t.same(outcomes(found), failingAt('http'))
  t.match(named(found, 'http')?.detail, /answered 503, wanted 200/)
})

t.test(
  'document: an object without keys is named for what it is (spire: {} accepted as an empty bundle)',
  async (t) => {
    const { app, peer } = await federated(t)
    peer.behaviour = behave.answer(200, '{}')
    const found = await examine(app)
    t.match(named(found, 'document'), { outcome: 'failed', detail: /member "keys" is no array/ })
    t.match(named(found, 'sequence')?.outcome, 'skipped')
    peer.behaviour = behave.answer(200, '{"keys":[]}')
    t.match(named(await examine(app), 'document'), {
      outcome: 'warning',
      detail: /withdraws all its trust/,
    })
  },
)

t.test('authorities: expired, ending, odd and distrusted ones are named', async (t) => {
  const { app, peer } = await federated(t)
  const day = 86_400_000
  const now = app.clock.now().getTime()
  const old = await FakeAuthority.root('globex.example', {
    notBefore: new Date(now - 2 * day),
    notAfter: new Date(now - day),
  })
  const ending = await FakeAuthority.root('globex.example', {
    notBefore: new Date(now - 30 * day),
    notAfter: new Date(now + day),
  })
  const leaked = await FakeAuthority.root('globex.example')
  peer.document = peer.bundle(2n, { roots: [peer.root, old, ending, leaked] })
  await app.call('POST', '/meshes/acme/distrusted-keys', {
    body: { publicKeySha256: keyOf(leaked) },
  })
  const found = await examine(app)
  const details = stepsOf(found)
    .filter(({ step, outcome }) => step === 'authority' && outcome === 'warning')
    .map(({ detail }) => detail)
  for (const said of [/it has expired/, /it ends soon/, /distrusted here, not used/]) {
    t.equal(details.filter((detail) => said.test(detail)).length, 1, String(said))
  }
})

t.test('nothing left to authenticate with: nothing is contacted, and it says why', async (t) => {
  const { app, peer } = await federated(t)
  await app.call('POST', '/meshes/acme/distrusted-keys', {
    body: { publicKeySha256: keyOf(peer.root) },
  })
  const before = peer.requests.length
  const found = await examine(app)
  t.match(named(found, 'chain'), { outcome: 'failed', detail: /has no X\.509 authority/ })
  t.match(named(found, 'tcp'), { outcome: 'skipped', detail: /nothing is contacted/ })
  t.equal(peer.requests.length, before)
})

t.test('sequence: one that went back is refused, as a poll would refuse it', async (t) => {
  const { app, peer } = await federated(t)
  peer.document = peer.bundle(0n, {
    roots: [peer.root, await FakeAuthority.root('globex.example')],
  })
  t.match(named(await examine(app), 'sequence'), {
    outcome: 'failed',
    detail: /went back from sequence 1 to 0/,
    next: /--accept-lower-sequence/,
  })
})

t.test('hint and clock: none, and hours apart', async (t) => {
  const { app, peer } = await federated(t)
  const document = peer.bundle(2n, { hint: undefined })
  peer.behaviour = (_request, response) => {
    const late = new Date(app.clock.now().getTime() - 2 * 3_600_000)
    response.writeHead(200, { date: late.toUTCString() }).end(document)
  }
  const found = await examine(app)
  t.match(named(found, 'hint'), { outcome: 'warning', detail: /none; it is polled every 300 s/ })
  t.match(named(found, 'clock'), {
    outcome: 'warning',
    detail: /the peer's is 7[12][0-9]{2} s behind ours/,
  })
})

t.test('consent that is withdrawn is a failed step with the command that gives it', async (t) => {
  const { app } = await federated(t)
  await app.call('POST', '/meshes/acme/relationships/globex/withdraw', { ifMatch: '*', body: {} })
  t.match(named(await examine(app), 'consent'), {
    outcome: 'failed',
    detail: /ours withdrawn/,
    next: 'entente federation approve globex',
  })
})

t.test('a bundle given by hand has no endpoint; what is stored is looked at', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  const bundle = new TextDecoder().decode(peer.document)
  const body = {
    name: 'globex',
    domains: [{ trustDomain: 'globex.example', source: 'static', bundle }],
  }
  t.equal((await app.call('POST', '/meshes/acme/relationships', { body })).status, 201)
  const found = await examine(app)
  t.same(outcomes(found), ['http skipped', 'document ok', 'authority ok', 'sequence ok', 'hint ok'])
  t.equal(peer.requests.length, 0)
})

t.test(
  'one examination of a relationship at a time, and none of what is over or unknown',
  async (t) => {
    const { app } = await federated(t)
    await app.clock.advance(2000)
    const both = await Promise.all([app.call('POST', PATH), app.call('POST', PATH)])
    t.same(new Set(both.map(({ status }) => status)), new Set([200, 429]))
    await app.clock.advance(2000)
    await app.call('POST', '/meshes/acme/relationships/globex/terminate', { ifMatch: '*' })
    t.equal((await app.call('POST', PATH)).status, 409)
    t.equal((await app.call('POST', PATH.replace('globex', 'none'))).status, 404)
  },
)
