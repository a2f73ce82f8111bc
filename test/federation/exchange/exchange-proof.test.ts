import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { callPeer } from '../../../src/federation/exchange/call-peer.ts'
import { deleteEndedJtis } from '../../../src/federation/exchange/peer-call-store.ts'
import { PeerLimits } from '../../../src/federation/exchange/peer-limits.ts'
import { generateKeyPair, keyId } from '../../../src/pki/key-pair.ts'
import { exchangeId } from '../../../src/spiffe/spiffe-id.ts'
import { FakePeer } from '../../support/fake-peer.ts'
import { clockFromNow, federationApp, spiffePeer } from '../federation-app.ts'
import { askWith, befriend, Caller, openReceiver } from './peer-caller.ts'

const PATH = '/meshes/acme/relationships'

/** A peer whose endpoint stands in the domain of another one, both polled; and a way to call it. */
const vouched = async (t: Pick<Test, 'teardown'>) => {
  const app = await federationApp(t)
  const host = await FakePeer.open(t, 'host.example')
  const tenant = await FakePeer.open(t, 'tenant.example')
  tenant.present(await host.root.issue({ uris: [host.endpointId] }))
  await app.call('POST', PATH, { body: spiffePeer(host, { name: 'host' }) })
  await app.poll()
  const domain = {
    trustDomain: tenant.trustDomain,
    source: 'https_spiffe',
    endpointUrl: tenant.url,
    endpointSpiffeId: host.endpointId,
  }
  await app.call('POST', PATH, { body: { name: 'tenant', domains: [domain] } })
  await app.poll()
  const exchange = {
    id: exchangeId(tenant.trustDomain),
    url: tenant.at('/federation/v1'),
  }
  const { db } = app.database
  await db
    .updateTable('relationship')
    .set({ their_exchange_id: exchange.id, their_exchange_url: exchange.url })
    .where('name', '=', 'tenant')
    .execute()
  const { id } = await db
    .selectFrom('relationship')
    .select('id')
    .where('name', '=', 'tenant')
    .executeTakeFirstOrThrow()
  const act = (name: string, what: string) =>
    app.call('POST', `${PATH}/${name}/${what}`, { body: {}, ifMatch: '*' })
  return { app, host, tenant, exchange, id, act, db }
}

type Vouched = Awaited<ReturnType<typeof vouched>>

const callTenant = ({ app, exchange, id, db }: Vouched) => {
  const { privateKey, publicKey } = generateKeyPair()
  const signer = {
    authorityId: '',
    kid: keyId(publicKey),
    privateKey,
    notAfter: new Date(8e15),
  }
  const deps = {
    db,
    outbound: app.outbound,
    anchors: app.relationshipRoutes.anchors,
    signers: { jwt: async () => signer },
    clock: app.clock,
  }
  return callPeer(
    deps,
    { meshId: app.meshId, relationshipId: id, exchange },
    { method: 'GET', path: '/federation/v1/relationship', body: new Uint8Array() },
  )
}

for (const [what, state] of [
  ['suspend', 'suspended'],
  ['withdraw', 'suspended'],
  ['terminate', 'terminated'],
] as const) {
  t.test(
    `FE-24 to ${what} a relationship ends the calls that its bundle authenticates, as it ends the polls`,
    async (t) => {
      const all = await vouched(t)
      t.match(await callTenant(all), { answer: { status: 200 } })
      await all.act('host', what)
      const before = all.tenant.requests.length
      t.match(await callTenant(all), {
        error: {
          code: 'PEER_IDENTITY_REFUSED',
          message: `relationship host, whose bundle authenticates it, is ${state}, so ${all.host.endpointId} cannot be authenticated`,
        },
      })
      t.equal(all.tenant.requests.length, before, 'nothing is contacted')
      if (what !== 'suspend') return
      await all.act('host', 'resume')
      t.match(await callTenant(all), { answer: { status: 200 } })
    },
  )
}

t.test('FE-24 the bundle of a relationship that is no peer authenticates no call', async (t) => {
  const all = await vouched(t)
  await all.db
    .updateTable('relationship')
    .set({ purpose: 'source' })
    .where('name', '=', 'host')
    .execute()
  t.match(await callTenant(all), {
    error: { message: /no relationship of this mesh has a bundle of host\.example/ },
  })
})

t.test(
  'FE-24 a call to an endpoint in a trust domain of this very mesh is checked by our own bundle',
  async (t) => {
    const all = await vouched(t)
    const own = await FakePeer.open(t, 'acme.example')
    await all.db
      .updateTable('relationship_domain')
      .set({ endpoint_spiffe_id: own.endpointId })
      .where('trust_domain', '=', all.tenant.trustDomain)
      .execute()
    t.match(await callTenant(all), {
      error: { message: /^the stored bundle of acme\.example has no X\.509 authority/ },
    })
    const digest = createHash('sha256').update(own.document).digest()
    await all.db
      .updateTable('bundle_revision')
      .set({ document: own.document, digest })
      .where('trust_domain', '=', own.trustDomain)
      .execute()
    all.tenant.present(await own.root.issue({ uris: [own.endpointId] }))
    t.match(await callTenant(all), { answer: { status: 200 } })
  },
)

t.test(
  'FE-24 the last notice to a peer goes out only while the bundle that authenticates it may',
  async (t) => {
    const all = await vouched(t)
    await all.act('tenant', 'terminate')
    const { endpoint } = await all.db
      .selectFrom('peer_notice')
      .select('endpoint')
      .where('kind', '=', 'termination')
      .executeTakeFirstOrThrow()
    t.equal(endpoint, null, "another relationship's anchors are not written down")
    t.match(await callTenant(all), { answer: { status: 200 } }, 'it still may')
    await all.act('host', 'suspend')
    t.match(await callTenant(all), { error: { code: 'PEER_IDENTITY_REFUSED' } }, 'and now not')
  },
)

t.test('a peer over its limit leaves no row behind for its tokens', async (t) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  await befriend(receiver, globex)
  const statuses: number[] = []
  for (let turn = 0; turn < 30; turn += 1) {
    const token = globex.token({}, receiver.clock.now())
    statuses.push((await askWith(receiver, token)).status)
  }
  t.equal(statuses.filter((status) => status === 200).length, 20)
  t.equal(statuses.filter((status) => status === 429).length, 10)
  const rows = () => receiver.database.db.selectFrom('peer_call_jti').select('jti').execute()
  t.equal((await rows()).length, 20)
  const body = JSON.stringify({ kind: 'relationship', trustDomain: 'globex.example' })
  const path = '/federation/v1/notices'
  for (let turn = 0; turn < 5; turn += 1) {
    const token = globex.token({ method: 'POST', path, body }, receiver.clock.now())
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await receiver.app.inject({ method: 'POST', url: path, headers, body })
    t.equal(answer.statusCode, 202)
  }
  await receiver.desk.idle()
  t.equal((await rows()).length, 20, 'notices over the limit are ignored and leave none either')
})

t.test(
  'a token with a wrong signature takes nothing from the limit of whom it names',
  async (t) => {
    const receiver = await openReceiver(t)
    const globex = new Caller('globex')
    await befriend(receiver, globex)
    const by = generateKeyPair().privateKey
    for (let turn = 0; turn < 30; turn += 1) {
      const forged = globex.token({ by }, receiver.clock.now())
      t.equal((await askWith(receiver, forged)).status, 401)
    }
    t.equal((await askWith(receiver, globex.token({}, receiver.clock.now()))).status, 200)
  },
)

t.test('one turn forgets all ended tokens, however many there are', async (t) => {
  const receiver = await openReceiver(t)
  const { db } = receiver.database
  const { meshId, id } = await befriend(receiver, new Caller('globex'))
  const now = receiver.clock.now()
  await sql`
    insert into peer_call_jti (mesh_id, relationship_id, jti, expires_at)
    select ${meshId}, ${id}, lpad(n::text, 22, '0'), ${now} from generate_series(1, 20001) n`.execute(
    db,
  )
  t.equal(await deleteEndedJtis(db, new Date(now.getTime() + 1)), 20_001)
})

t.test('a flood of sources refills no bucket of a relationship', async (t) => {
  const rate = { perSecond: 0.001, burst: 1 }
  const wide = { perSecond: 1e9, burst: 1e9 }
  const limits = new PeerLimits(clockFromNow(), {
    perProcess: wide,
    perSource: wide,
    perRelationship: rate,
  })
  limits.takeForRelationship('one')
  for (let n = 0; n < 20_001; n += 1)
    limits.takeForSource(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)
  t.throws(() => limits.takeForRelationship('one'), { code: 'RATE_LIMITED' })
})
