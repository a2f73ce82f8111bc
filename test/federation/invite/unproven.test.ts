import t, { type Test } from 'tap'
import { addSeconds, systemClock } from '../../../src/clock.ts'
import { newInviteSecret, writeInvite } from '../../../src/federation/invite/invite.ts'
import { type Side } from '../../../src/federation/invite/peer-side.ts'
import { parseEndpointUrl } from '../../../src/spiffe/endpoint-profile.ts'
import { behave, FakePeer } from '../../support/fake-peer.ts'
import { accept, party, partyIn, type Party, sideOf } from './support.ts'

const abroad = await party(t, 'abroad')

let made = 0

const acceptor = async (): Promise<Party> => {
  const meshId = `globex-${(made += 1)}`
  await abroad.service.admin('POST', '/meshes', { meshId, trustDomain: `${meshId}.example` })
  return partyIn(abroad.service, meshId)
}

const invitedBy = (peer: FakePeer, secret = newInviteSecret(), change: Partial<Side> = {}) =>
  writeInvite({
    side: sideOf(peer, change),
    handshakeUrl: peer.at('/federation/v1/handshake'),
    secret,
    expiresAt: addSeconds(systemClock.now(), 3600),
    expected: undefined,
  })

/** Serves the genuine bundle, answers no handshake as the inviter, and claims consent to whoever asks. */
const forger = async (t: Test) => {
  const peer = await FakePeer.open(t, 'acme.example')
  const serve = behave.serve(peer)
  const seen = { asked: 0, polled: 0 }
  peer.behaviour = (request, response) => {
    if (request.method === 'POST') response.writeHead(200).end('not signed by the inviter')
    else if (request.url?.endsWith('/relationship') === true) {
      seen.asked += 1
      const told = { trustDomain: 'acme.example', consent: 'given', bundles: [] }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(told))
    } else {
      seen.polled += 1
      serve(request, response)
    }
  }
  return { peer, seen }
}

const act = async (of: Party, act: string) => {
  const { etag = '' } = await of.call('GET', '/relationships/acme')
  return of.call('POST', `/relationships/acme/${act}`, {}, { 'if-match': etag })
}

t.test('an invite whose handshake failed never becomes trust', async (t) => {
  const { peer, seen } = await forger(t)
  const globex = await acceptor()
  const text = invitedBy(peer)
  const refused = await accept(globex, text)
  t.match(refused, { status: 502, body: { failedStep: 'they reached us' } })
  const { polled } = seen
  const unproven = {
    state: 'pending',
    ourConsent: 'pending',
    theirConsent: 'pending',
    exchange: null,
    standingReason: "the invite's handshake is not proven yet",
  }
  const shown = async () => (await globex.call('GET', '/relationships/acme')).body
  t.match(await shown(), unproven)
  await new Promise((resolve) => setTimeout(resolve, 3000))
  t.match(await shown(), unproven, 'nor later')
  t.same(seen, { asked: 0, polled }, 'nothing that it names is asked or polled')
  const rows = async (table: 'peer_exchange' | 'poll' | 'peer_bundle_revision') =>
    abroad.service.service.base.database.db
      .selectFrom(table)
      .select('mesh_id')
      .where('mesh_id', '=', globex.mesh as never)
      .execute()
  for (const table of ['peer_exchange', 'poll', 'peer_bundle_revision'] as const) {
    t.same(await rows(table), [], table)
  }
  for (const what of ['approve', 'withdraw', 'refresh']) {
    t.match(
      await act(globex, what),
      { status: 409, body: { detail: /not proven yet/, next: /federation accept FILE/ } },
      `${what} by hand is refused`,
    )
  }
  t.equal((await act(globex, 'terminate')).status, 200)
  const { etag = '' } = await globex.call('GET', '/relationships/acme')
  const gone = await globex.call('DELETE', '/relationships/acme', undefined, { 'if-match': etag })
  t.equal(gone.status, 200, 'and it can be deleted')
})

t.test('the genuine form of an invite does not prove the forged one', async (t) => {
  const { peer } = await forger(t)
  const globex = await acceptor()
  const secret = newInviteSecret()
  t.equal((await accept(globex, invitedBy(peer, secret))).status, 502)
  const side = sideOf(peer)
  const domains = side.domains.map((domain) => ({ ...domain, url: peer.at('/elsewhere') }))
  peer.behaviour = behave.serve(peer)
  t.match(await accept(globex, invitedBy(peer, secret, { domains })), {
    status: 409,
    body: { detail: /another form of this invite/, next: /federation delete acme/ },
  })
  t.match((await globex.call('GET', '/relationships/acme')).body, { ourConsent: 'pending' })
})

t.test('what the fingerprint does not cover is shown next to it', async (t) => {
  const { peer } = await forger(t)
  const globex = await acceptor()
  const exchange = { ...sideOf(peer).exchange, url: parseEndpointUrl('https://evil.example/x') }
  const invite = invitedBy(peer, newInviteSecret(), { exchange })
  const tried = await globex.call('POST', '/invites/accept?dryRun=true', { invite })
  t.match(tried.body.invited, {
    domains: [{ trustDomain: 'acme.example', profile: 'https_spiffe', endpointUrl: peer.url }],
    exchange: { url: 'https://evil.example/x' },
  })
  t.same((await globex.call('GET', '/relationships')).body.items, [])
})
