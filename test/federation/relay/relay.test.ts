import { createHash, X509Certificate } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { RelayBundles } from '../../../src/federation/relay/relay-bundles.ts'
import { type Db } from '../../../src/db/schema.ts'
import { databaseNow } from '../../../src/db/time.ts'
import { systemClock } from '../../../src/clock.ts'
import { ServiceError } from '../../../src/errors.ts'
import { parseBundle } from '../../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { startTestService, type TestService } from '../../support/service.ts'
import { tlsGet } from '../../support/tls-get.ts'
import { until } from '../../support/until.ts'

const globex = parseTrustDomain('globex.example')
const NAMED = '/meshes/acme/relationships/globex'

function keyOf({ der }: FakeAuthority): string {
  const spki = new X509Certificate(der).publicKey.export({ format: 'der', type: 'spki' })
  return createHash('sha256').update(spki).digest('hex')
}

/** A service whose mesh `acme` federates with a fake peer that has two roots and hint 60. */
async function federated(t: Test) {
  const service = await startTestService(t, { ENTENTE_EGRESS_ALLOW: 'localhost' })
  await service.admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
  const peer = await FakePeer.open(t, 'globex.example')
  const second = await FakeAuthority.root('globex.example')
  peer.document = peer.bundle(7n, { hint: 60, roots: [peer.root, second] })
  const made = await service.admin('POST', '/meshes/acme/relationships', {
    name: 'globex',
    domains: [
      {
        trustDomain: 'globex.example',
        source: 'https_spiffe',
        endpointUrl: peer.url,
        endpointSpiffeId: peer.endpointId,
        bundle: new TextDecoder().decode(peer.document),
      },
    ],
  })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  const url: string = made.body.domains[0].relayUrl
  return { service, peer, second, url }
}

const refresh = (service: TestService) => service.admin('POST', `${NAMED}/refresh`, {})
const act = (service: TestService, name: string) =>
  service.admin('POST', `${NAMED}/${name}`, {}, { 'if-match': '*' })

async function relayed(url: string) {
  const { status, body } = await tlsGet(url)
  if (status !== 200) return { status, keys: -1, sequence: 0n, hint: undefined }
  const { bundle } = parseBundle(globex, body)
  const { sequence = 0n, refreshHintSeconds: hint, x509Authorities } = bundle
  return { status, keys: x509Authorities.length, sequence, hint }
}

const becomes = (url: string, keys: number) =>
  until(
    () => relayed(url),
    (answer) => answer.keys === keys,
  )

t.setTimeout(120_000)

t.test(
  "the relay hands out the peer's bundle as this mesh accepts it, with a sequence of ours",
  async (t) => {
    const { service, peer, second, url } = await federated(t)
    t.match(url, /\/bundles\/acme\.example\/peers\/[A-Za-z0-9_-]{43}$/)
    await refresh(service)
    const first = await becomes(url, 2)
    t.match(first, { status: 200, keys: 2, hint: 60 })
    t.ok(first.sequence > 1_700_000_000n, 'Unix seconds, not the sequence 7 of the peer')
    t.same(await relayed(url), first, 'what does not change keeps its sequence')

    const distrusted = await service.admin('POST', '/meshes/acme/distrusted-keys', {
      publicKeySha256: keyOf(second),
    })
    t.equal(distrusted.status, 201)
    const without = await becomes(url, 1)
    t.match(without, { keys: 1 }, 'a distrusted key is absent')
    t.ok(without.sequence > first.sequence)

    peer.document = peer.bundle(8n, { hint: 4000, roots: [peer.root] })
    await refresh(service)
    const slower = await until(
      () => relayed(url),
      ({ hint }) => hint === 300,
    )
    t.match(
      slower,
      { keys: 1, hint: 300 },
      'never a longer hint than ours, so that our word arrives',
    )
  },
)

t.test('suspended and terminated empty it, pending and deleted is nothing at all', async (t) => {
  const { service, peer, url } = await federated(t)
  peer.behaviour = (_request, response) => void response.writeHead(503).end()
  t.equal((await relayed(url)).status, 404, 'pending: nothing was ever accepted')
  peer.behaviour = (_request, response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end(peer.document)
  await refresh(service)
  const active = await becomes(url, 2)
  await act(service, 'suspend')
  const suspended = await becomes(url, 0)
  t.match(suspended, { status: 200, keys: 0 }, 'a 404 would leave what SPIRE read before in force')
  t.ok(suspended.sequence > active.sequence)
  await act(service, 'resume')
  const resumed = await becomes(url, 2)
  t.ok(resumed.sequence > suspended.sequence)
  await act(service, 'terminate')
  t.match(await becomes(url, 0), { status: 200, keys: 0 })
  await service.admin('DELETE', NAMED, undefined, { 'if-match': '*' })
  t.match(
    await until(
      () => relayed(url),
      ({ status }) => status === 404,
    ),
    { status: 404 },
  )
})

t.test('a quarantined document is not handed out, before and after a rejection', async (t) => {
  const { service, peer, url } = await federated(t)
  await refresh(service)
  await becomes(url, 2)
  await service.admin('PATCH', NAMED, { changePolicy: 'approve' }, { 'if-match': '*' })
  const third = await FakeAuthority.root('globex.example')
  peer.document = peer.bundle(8n, { hint: 60, roots: [peer.root, third] })
  t.match((await refresh(service)).body.outcomes, [{ outcome: 'quarantined' }])
  t.match(await becomes(url, 1), { keys: 1 }, 'what the peer dropped is gone, the addition waits')
  const { body } = await tlsGet(url)
  t.notMatch(body.toString(), Buffer.from(third.der).toString('base64'))
})

t.test(
  'it is served like our own bundle: headers, 304, HEAD, gzip, 405, forged references',
  async (t) => {
    const { service, url } = await federated(t)
    await refresh(service)
    await becomes(url, 2)
    const plain = await tlsGet(url)
    t.match(plain.headers, {
      'content-type': 'application/json',
      'cache-control': 'private, no-cache',
      vary: 'Accept-Encoding',
      etag: /^"[0-9]+-[0-9a-f]{16}"$/,
    })
    const etag = plain.headers.etag ?? ''
    t.equal((await tlsGet(url, { headers: { 'if-none-match': etag } })).status, 304)
    const head = await tlsGet(url, { method: 'HEAD' })
    t.match([head.status, head.body.length, head.headers.etag], [200, 0, etag])
    const packed = await tlsGet(url, { headers: { 'accept-encoding': 'gzip' } })
    t.equal(packed.headers['content-encoding'], 'gzip')
    t.same(gunzipSync(packed.body), plain.body)
    const posted = await tlsGet(url, { method: 'POST' })
    t.match([posted.status, posted.headers.allow], [405, 'GET, HEAD'])

    const reader: string = (await service.admin('GET', NAMED)).body.readerUrl
    const ref = url.split('/').at(-1) ?? ''
    const readerRef = reader.split('/').at(-1) ?? ''
    const forged = ref.startsWith('A') ? `B${ref.slice(1)}` : `A${ref.slice(1)}`
    for (const bad of [forged, ref.slice(1), readerRef, '%00', 'x'.repeat(43)]) {
      t.ok([400, 404].includes((await tlsGet(url.replace(ref, bad))).status), bad)
    }
    t.equal(
      (await tlsGet(reader.replace(readerRef, ref))).status,
      404,
      'nor is it a reader of ours',
    )
    t.equal((await tlsGet(url.replace('acme.example', 'other.example'))).status, 404)

    const shown = await until(
      async () => (await service.admin('GET', NAMED)).body.domains[0],
      ({ relay }) => relay?.lastAt !== null,
    )
    t.match(shown, { relayUrl: url, relay: { sequence: /^[0-9]+$/, lastAt: String } })
    t.ok(Number(shown.relay.fetches) >= 2, 'who fetched is shown')
  },
)

t.test('two replicas hand out the same bytes, also when both work them out at once', async (t) => {
  const { service, url } = await federated(t)
  await refresh(service)
  await becomes(url, 2)
  const { database, changes } = service.service.base
  const replicas = Array.from({ length: 4 }, () => relaysOn(database.db, changes))
  const { relay_id: relayId } = await database.db
    .selectFrom('relationship_domain')
    .select('relay_id')
    .executeTakeFirstOrThrow()
  const key = { meshId: 'acme' as never, ownTrustDomain: parseTrustDomain('acme.example'), relayId }
  await database.db.deleteFrom('relay_bundle').execute()
  const answers = await Promise.all(replicas.map((relays) => relays.fresh(key)))
  t.equal(new Set(answers.map((answer) => answer?.identity.etag)).size, 1)
  t.equal(new Set(answers.map((answer) => answer?.identity.body.toString())).size, 1)
})

t.test('while the database is away the relay serves what it last knew, for a while', async (t) => {
  const { service, url } = await federated(t)
  await refresh(service)
  await becomes(url, 2)
  const { database, changes } = service.service.base
  const { relay_id: relayId } = await database.db
    .selectFrom('relationship_domain')
    .select('relay_id')
    .executeTakeFirstOrThrow()
  const key = { meshId: 'acme' as never, ownTrustDomain: parseTrustDomain('acme.example'), relayId }
  let isAway = false
  let silentMs = 0
  const db: Db = new Proxy(database.db, {
    get: (target, name) => {
      if (isAway) throw new ServiceError('DATABASE_UNAVAILABLE', 'the database is away')
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? (member.bind(target) as unknown) : member
    },
  })
  const silent = {
    on: changes.on.bind(changes),
    get silentMs() {
      return silentMs
    },
  }
  const relays = relaysOn(db, silent)
  const before = await relays.fresh(key)
  t.equal(before?.sequence !== undefined, true)
  isAway = true
  silentMs = 60_000
  t.equal((await relays.fresh(key))?.identity.etag, before?.identity.etag, 'from memory')
  silentMs = 3_601_000
  await t.rejects(relays.fresh(key), { code: 'DATABASE_UNAVAILABLE' })
  await t.rejects(
    relaysOn(db, silent).fresh(key),
    { code: 'DATABASE_UNAVAILABLE' },
    'nothing known',
  )
})

function relaysOn(db: Db, changes: ConstructorParameters<typeof RelayBundles>[0]['changes']) {
  return new RelayBundles({
    db,
    now: databaseNow,
    clock: systemClock,
    log: { warn: () => undefined },
    changes,
    staleSeconds: 3600,
  })
}
