import { type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { addSeconds, systemClock } from '../../../src/clock.ts'
import {
  type NewHandshakeAnswer,
  parseHandshake,
  writeHandshakeAnswer,
} from '../../../src/federation/invite/handshake.ts'
import { newInviteSecret, writeInvite } from '../../../src/federation/invite/invite.ts'
import { type X5cSigner } from '../../../src/pki/x5c-jws.ts'
import { parseEndpointUrl } from '../../../src/spiffe/endpoint-profile.ts'
import { behave, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { accept, endpointSigner, party, partyIn, type Party, sideOf, signerBy } from './support.ts'

/** The acceptor of this file: a whole service; each test has a mesh of its own in it. */
const abroad = await party(t, 'abroad')

let made = 0

const acceptor = async (): Promise<Party> => {
  const meshId = `globex-${(made += 1)}`
  await abroad.service.admin('POST', '/meshes', { meshId, trustDomain: `${meshId}.example` })
  return partyIn(abroad.service, meshId)
}

const invitedBy = (peer: FakePeer): string =>
  writeInvite({
    side: sideOf(peer),
    handshakeUrl: peer.at('/federation/v1/handshake'),
    secret: newInviteSecret(),
    expiresAt: addSeconds(systemClock.now(), 3600),
    expected: undefined,
  })

type Lie = Partial<NewHandshakeAnswer> & { readonly signer?: X5cSigner }

/** Serves its bundle, and answers handshakes with the truth but for what `lie` changes. */
const inviter = async (
  t: Test,
  lie: (peer: FakePeer, token: string) => Promise<Lie> | Lie = () => ({}),
): Promise<FakePeer> => {
  const peer = await FakePeer.open(t, 'acme.example')
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const token = String(await buffer(request))
    const handshake = parseHandshake(token)
    const { signer, ...change } = await lie(peer, token)
    const wanted: NewHandshakeAnswer = {
      handshake,
      inviter: sideOf(peer),
      consent: 'given',
      seen: handshake.acceptor.domains.map(({ trustDomain, read }) => ({
        trustDomain,
        digest: Buffer.from(read.digest).toString('hex'),
      })),
      now: systemClock.now(),
      ...change,
    }
    const jws = writeHandshakeAnswer(wanted, signer ?? (await endpointSigner(peer)))
    response.writeHead(200, { 'content-type': 'application/jose' }).end(jws)
  }
  const serve = behave.serve(peer)
  peer.behaviour = (request, response) => {
    if (request.url?.endsWith('/handshake') === true) void answer(request, response)
    else serve(request, response)
  }
  return peer
}

const standing = async (of: Party) =>
  (await of.call('GET', '/relationships')).body.items.map(
    ({ state, theirConsent }: { state: string; theirConsent: string }) =>
      `${state} ${theirConsent}`,
  )

const moved = (peer: FakePeer) => {
  const side = sideOf(peer)
  return {
    ...side,
    domains: side.domains.map((domain) => ({ ...domain, url: peer.at('/elsewhere') })),
  }
}

t.test('an answer that is what it must be is believed', async (t) => {
  const peer = await inviter(t)
  const globex = await acceptor()
  t.match(await accept(globex, invitedBy(peer)), { status: 201, body: { consent: 'given' } })
  t.same(await standing(globex), ['active given'])
})

t.test('an answer that proves nothing gives no consent', async (t) => {
  const evil = await FakeAuthority.root('evil.example')
  const twin = await FakeAuthority.root('acme.example')
  const other = await FakePeer.open(t, 'other.example')
  const lies: [string, (peer: FakePeer, token: string) => Promise<Lie> | Lie][] = [
    [
      'signed by a stranger',
      async (peer) => ({ signer: await signerBy(evil, { uris: [peer.endpointId] }) }),
    ],
    [
      'signed under a root of the same name',
      async (peer) => ({ signer: await signerBy(twin, { uris: [peer.endpointId] }) }),
    ],
    [
      'signed by another SVID',
      async (peer) => ({
        signer: await signerBy(peer.root, { uris: ['spiffe://acme.example/web'] }),
      }),
    ],
    [
      'to another message',
      (_peer, token) => ({ handshake: { ...parseHandshake(token), tokenSha256: '0'.repeat(64) } }),
    ],
    [
      'for somebody else',
      (_peer, token) => ({
        handshake: { ...parseHandshake(token), issuer: 'spiffe://evil.example/x' },
      }),
    ],
    ['five minutes old', () => ({ now: addSeconds(systemClock.now(), -300) })],
    ['five minutes early', () => ({ now: addSeconds(systemClock.now(), 300) })],
    ['with another URL', (peer) => ({ inviter: moved(peer) })],
    ['about another domain', () => ({ inviter: sideOf(other) })],
    [
      'with another exchange URL',
      (peer) => ({
        inviter: {
          ...sideOf(peer),
          exchange: { ...sideOf(peer).exchange, url: parseEndpointUrl('https://evil.example/x') },
        },
      }),
    ],
  ]
  for (const [what, lie] of lies) {
    const globex = await acceptor()
    const answer = await accept(globex, invitedBy(await inviter(t, lie)))
    t.match(
      answer,
      { status: 502, body: { code: 'PEER_ANSWER_REFUSED', failedStep: 'they reached us' } },
      what,
    )
    t.same(await standing(globex), ['pending pending'], `${what}: nothing is trusted`)
  }
})

t.test('whoever changed our bundle on its way to them is noticed', async (t) => {
  for (const digest of ['0'.repeat(64), '']) {
    const globex = await acceptor()
    const peer = await inviter(t, (_peer, token) => ({
      seen: parseHandshake(token).acceptor.domains.flatMap(({ trustDomain }) =>
        digest === '' ? [] : [{ trustDomain, digest }],
      ),
    }))
    t.match(await accept(globex, invitedBy(peer)), {
      body: { failedStep: 'both bundles verified', detail: /another bundle of ours/ },
    })
    t.same(await standing(globex), ['pending pending'])
  }
})

t.test('what an inviter answers instead is shown in one clean line', async (t) => {
  const answers: [number, string, Record<string, string>, RegExp][] = [
    [
      403,
      '{"detail":"no\\u001b[2J\\nway"}',
      { 'content-type': 'application/problem+json' },
      /no\?\[2J\?way/,
    ],
    [
      422,
      '{"code":"INTERNAL","detail":"x"}',
      { 'content-type': 'application/problem+json' },
      /they answered: x/,
    ],
    [500, 'oops', {}, /status 500/],
    [404, '{', { 'content-type': 'application/problem+json' }, /status 404/],
    [200, 'not a JWS', {}, /not what it must be/],
    [204, '', {}, /status 204/],
    [302, '', { location: 'https://evil.example/' }, /do not follow redirects/],
  ]
  for (const [status, body, headers, reason] of answers) {
    const peer = await FakePeer.open(t, 'acme.example')
    const [serve, refuse] = [behave.serve(peer), behave.answer(status, body, headers)]
    peer.behaviour = (request, response) =>
      (request.method === 'POST' ? refuse : serve)(request, response)
    const globex = await acceptor()
    const answer = await accept(globex, invitedBy(peer))
    t.match(answer.body, { code: 'PEER_ANSWER_REFUSED', detail: reason }, String(status))
  }
})

t.test('an inviter that says the invite is over leaves nothing behind', async (t) => {
  for (const code of ['INVITE_OVER', 'INVITE_REFUSED']) {
    const peer = await FakePeer.open(t, 'acme.example')
    const serve = behave.serve(peer)
    const refuse = behave.answer(409, JSON.stringify({ code, detail: 'was used already' }), {
      'content-type': 'application/problem+json',
    })
    peer.behaviour = (request, response) =>
      (request.method === 'POST' ? refuse : serve)(request, response)
    const globex = await acceptor()
    t.match((await accept(globex, invitedBy(peer))).body, { code, next: 'ask for another invite' })
    t.same(await standing(globex), [])
    t.same((await globex.call('GET', '/bundle/readers')).body.items, [])
  }
})

t.test(
  'an inviter that never answers costs ten seconds, and the same invite can be tried again',
  async (t) => {
    const peer = await inviter(t)
    const honest = peer.behaviour
    const serve = behave.serve(peer)
    peer.behaviour = (request, response) => {
      if (request.method !== 'POST') serve(request, response)
    }
    const globex = await acceptor()
    const text = invitedBy(peer)
    t.match(await accept(globex, text), {
      status: 502,
      body: { code: 'PEER_UNREACHABLE', failedStep: 'they reached us' },
    })
    t.same(await standing(globex), ['pending pending'])
    peer.behaviour = honest
    t.match(await accept(globex, text), { status: 201 })
    t.same(await standing(globex), ['active given'])
  },
)
