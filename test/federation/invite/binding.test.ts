import t, { type Test } from 'tap'
import { Agent, request } from 'undici'
import { bundleFingerprint } from '../../../src/federation/invite/fingerprint.ts'
import { type Side, type SideDomain } from '../../../src/federation/invite/peer-side.ts'
import { parseBundle } from '../../../src/spiffe/bundle.ts'
import { FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { endpointSigner, handshakeBy, inviteOf, party, sideOf } from './support.ts'

const acme = await party(t, 'acme')

const serverFrom = (localAddress: string) =>
  new Agent({ connections: 20, localAddress, connect: { rejectUnauthorized: false } })
const usual = serverFrom('127.0.0.1')

const send = async (token: string, dispatcher = usual) => {
  const answer = await request(`${acme.service.publicUrl}/federation/v1/handshake`, {
    method: 'POST',
    headers: { 'content-type': 'application/jose' },
    body: token,
    dispatcher,
  })
  const text = await answer.body.text()
  const part = text.startsWith('{')
    ? text
    : Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()
  return { status: answer.statusCode, body: JSON.parse(part) as Record<string, unknown> }
}

let made = 0

const peerOf = (t: Test, name: string): Promise<FakePeer> =>
  FakePeer.open(t, `${name}-${(made += 1)}.example`)

const fingerprintOf = ({ trustDomain, document }: Pick<FakePeer, 'trustDomain' | 'document'>) =>
  bundleFingerprint(parseBundle(trustDomain, document).bundle)

const domainOf = (peer: FakePeer, change: Partial<SideDomain> = {}): SideDomain => {
  const [domain] = sideOf(peer).domains
  if (domain === undefined) throw new Error('a side has a trust domain')
  return { ...domain, ...change }
}

const invited = async (id: string) => {
  const { body } = await acme.call('GET', '/invites?limit=500')
  return (body.items as Record<string, unknown>[]).find((one) => one['id'] === id)
}

const nothingOf = async (t: Test, name: string) =>
  t.equal((await acme.call('GET', `/relationships/${name}`)).status, 404, 'nothing was made')

t.test(
  'whoever adds the expected domain to his own is refused, with its true keys too',
  async (t) => {
    const [victim, thief] = [await peerOf(t, 'victim'), await peerOf(t, 'thief')]
    const created = await inviteOf(acme, {
      for: victim.trustDomain,
      fingerprint: fingerprintOf(victim),
      as: 'second',
    })
    const claimed = domainOf(victim, { url: thief.url, endpointId: thief.endpointId })
    const acceptor: Side = sideOf(thief, { domains: [domainOf(thief), claimed] })
    const signer = await endpointSigner(thief)
    t.match(await send(await handshakeBy(thief, created.invite, { acceptor, signer })), {
      status: 403,
      body: { code: 'INVITE_REFUSED', detail: new RegExp(`it is for ${victim.trustDomain}, and`) },
    })
    t.same([...thief.requests, ...victim.requests], [], 'nothing was fetched')
    await nothingOf(t, 'second')
    t.equal((await send(await handshakeBy(victim, created.invite))).status, 200, 'it stays good')
  },
)

t.test(
  'the expected domain first, but its endpoint in a domain of the thief, is refused',
  async (t) => {
    const [victim, thief] = [await peerOf(t, 'victim'), await peerOf(t, 'thief')]
    const created = await inviteOf(acme, {
      for: victim.trustDomain,
      fingerprint: fingerprintOf(victim),
      as: 'borrowed',
    })
    const claimed = domainOf(victim, { url: thief.url, endpointId: thief.endpointId })
    const acceptor: Side = sideOf(thief, { domains: [claimed, domainOf(thief)] })
    const signer = await endpointSigner(thief)
    t.match(await send(await handshakeBy(thief, created.invite, { acceptor, signer })), {
      status: 403,
      body: { detail: /endpoint ID .*thief.* is of another trust domain/ },
    })
    t.same([...thief.requests, ...victim.requests], [], 'nothing was fetched')
    await nothingOf(t, 'borrowed')
  },
)

t.test('a fetched bundle with more keys than the fingerprint covers is refused', async (t) => {
  const peer = await peerOf(t, 'peer')
  const created = await inviteOf(acme, {
    for: peer.trustDomain,
    fingerprint: fingerprintOf(peer),
    as: 'more-keys',
  })
  const token = await handshakeBy(peer, created.invite)
  const sent = peer.document
  const added = await FakeAuthority.root(peer.trustDomain)
  peer.document = peer.bundle(2n, { roots: [peer.root, added] })
  t.match(await send(token), {
    status: 403,
    body: { detail: /another fingerprint than the one that its endpoint serves/ },
  })
  await nothingOf(t, 'more-keys')
  peer.document = sent
  t.equal((await send(token)).status, 200)
})

t.test('consent beforehand covers no other domain that comes along', async (t) => {
  const [peer, other] = [await peerOf(t, 'peer'), await peerOf(t, 'other')]
  const created = await inviteOf(acme, {
    for: peer.trustDomain,
    fingerprint: fingerprintOf(peer),
    as: 'several',
  })
  const acceptor: Side = sideOf(peer, { domains: [domainOf(peer), domainOf(other)] })
  const answer = await send(await handshakeBy(peer, created.invite, { acceptor }))
  t.match(answer, { status: 200, body: { consent: 'pending' } }, 'they are told to wait')
  t.match((await acme.call('GET', '/relationships/several')).body, {
    state: 'pending',
    ourConsent: 'pending',
    waitingFor: ['our consent'],
  })
  t.match(await invited(created.id), {
    state: 'used',
    isApproved: false,
    approvalReason: new RegExp(
      `for ${peer.trustDomain} alone, and ${other.trustDomain} came along`,
    ),
  })
  const looked = await acme.call('POST', '/relationships/several/approve?dryRun=true', {})
  const shown = looked.body.peerAuthorities as { trustDomain: string; fingerprint: string }[]
  t.same(
    new Map(shown.map(({ trustDomain, fingerprint }) => [trustDomain, fingerprint])),
    new Map([peer, other].map((one) => [one.trustDomain, fingerprintOf(one)])),
    'approving shows the keys of all of them',
  )
})

t.test('one address that floods the handshake closes it for nobody else', async (t) => {
  const flood = serverFrom('127.0.0.2')
  const answers = await Promise.all(Array.from({ length: 300 }, () => send('x', flood)))
  const refused = answers.filter(({ status }) => status === 429)
  t.ok(refused.length >= 100, `${refused.length} of 300 were refused`)
  t.match(refused[0]?.body, { code: 'RATE_LIMITED' })
  const peer = await peerOf(t, 'peer')
  const { invite } = await inviteOf(acme, { for: peer.trustDomain })
  t.equal((await send(await handshakeBy(peer, invite))).status, 200)
})
