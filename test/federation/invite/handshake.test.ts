import { generateKeyPairSync } from 'node:crypto'
import t, { type Test } from 'tap'
import { Agent, request } from 'undici'
import { addSeconds, systemClock } from '../../../src/clock.ts'
import { bundleFingerprint } from '../../../src/federation/invite/fingerprint.ts'
import { writeHandshake } from '../../../src/federation/invite/handshake.ts'
import { inviteProof, newInviteSecret, parseInvite } from '../../../src/federation/invite/invite.ts'
import { parseBundle } from '../../../src/spiffe/bundle.ts'
import { signX5cJws } from '../../../src/pki/x5c-jws.ts'
import { parseEndpointUrl } from '../../../src/spiffe/endpoint-profile.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { behave, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import {
  endpointSigner,
  handshakeBy,
  inviteOf,
  party,
  type Party,
  sideOf,
  signerBy,
} from './support.ts'
import { untilTrue } from '../../support/until.ts'

/** The inviter of this file: a whole service. */
const acme = await party(t, 'acme')
const anyServer = new Agent({ connect: { rejectUnauthorized: false } })
/** Where many messages at once come from: one address may send 100. */
const crowd = new Agent({ localAddress: '127.0.0.2', connect: { rejectUnauthorized: false } })

const send = async (
  token: string,
  contentType = 'application/jose',
  dispatcher: Agent = anyServer,
) => {
  const answer = await request(`${acme.service.publicUrl}/federation/v1/handshake`, {
    method: 'POST',
    headers: { 'content-type': contentType },
    body: token,
    dispatcher,
  })
  const text = await answer.body.text()
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text,
    code: codeIn(text),
    detail: detailIn(text),
  }
}

const problemIn = (text: string) =>
  text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {}
const codeIn = (text: string) => problemIn(text)['code']
const detailIn = (text: string) => String(problemIn(text)['detail'])

const payloadOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >

let made = 0

/** A peer of a name of its own: an acceptor made by hand. */
const acceptor = (t: Test): Promise<FakePeer> => FakePeer.open(t, `peer-${(made += 1)}.example`)

const invite = async (wish: object = {}): Promise<string> =>
  (await inviteOf(acme, wish)).invite as string

const listed = async (id: string) => {
  const { body } = await acme.call('GET', '/invites?limit=500')
  return (body.items as { id: string }[]).find((one) => one.id === id) as unknown as Record<
    string,
    unknown
  > & {
    lastRefusal: { reason: string; next: string | null } | null
  }
}

const relationship = (name: string) => acme.call('GET', `/relationships/${name}`)

t.test('an acceptor that proves itself and can be reached is federated with', async (t) => {
  const peer = await acceptor(t)
  const created = await inviteOf(acme, { for: peer.trustDomain })
  const token = await handshakeBy(peer, created.invite)
  const answer = await send(token)
  t.equal(answer.status, 200, answer.text)
  t.equal(answer.headers['content-type'], 'application/jose')
  t.match(payloadOf(answer.text), {
    iss: 'spiffe://acme.example/entente/bundle-endpoint',
    aud: peer.endpointId,
    consent: 'given',
    inviter: { mesh: 'acme', domains: [{ trustDomain: 'acme.example' }] },
    seen: [{ trustDomain: peer.trustDomain, digest: /^[0-9a-f]{64}$/ }],
  })
  t.equal(peer.requests.length >= 1, true, 'they fetched our bundle before they answered')
  const name = peer.trustDomain.split('.')[0] ?? ''
  t.match((await relationship(name)).body, {
    state: 'active',
    ourConsent: 'given',
    theirConsent: 'given',
    peerMeshName: name,
    domains: [{ bundle: { origin: 'fetched' } }],
  })
  t.match(await listed(created.id), { state: 'used', usedBy: peer.trustDomain, relationship: name })
  const actions = (): Promise<string[]> => actionsOf(`peer:${peer.trustDomain}`)
  await untilTrue(async () => (await actions()).length === 3)
  t.same(await actions(), ['invite.use', 'relationship.activate', 'relationship.create'])
})

t.test(
  'the same message by the same key gets the same answer; every other is refused',
  async (t) => {
    const peer = await acceptor(t)
    const text = await invite({ for: peer.trustDomain })
    const signer = await endpointSigner(peer)
    const token = await handshakeBy(peer, text, { signer })
    const first = await send(token)
    t.equal(first.status, 200, first.text)
    const { iat: _iat, exp: _exp, ...content } = payloadOf(first.text)
    const again = await send(token)
    t.match(payloadOf(again.text), content, 'the very same message')
    const later = await send(
      await handshakeBy(peer, text, { signer, now: addSeconds(systemClock.now(), 5) }),
    )
    t.equal(later.status, 200, 'the same with other times')
    const over = { status: 409, code: 'INVITE_OVER', detail: /was used already/ }
    t.match(await send(await handshakeBy(peer, text)), over, 'another key of the same endpoint')
    const side = sideOf(peer)
    const changes = {
      'another URL': { domains: [{ ...side.domains[0], url: parseEndpointUrl(`${peer.url}/x`) }] },
      'another name': { meshName: 'other' },
      'another exchange URL': {
        exchange: { ...side.exchange, url: parseEndpointUrl('https://localhost/federation/v1') },
      },
      'another bundle': { domains: [{ ...side.domains[0], document: peer.bundle(9n) }] },
    }
    for (const [what, change] of Object.entries(changes)) {
      const changed = { ...side, ...change } as typeof side
      t.match(await send(await handshakeBy(peer, text, { signer, acceptor: changed })), over, what)
    }
    const other = await acceptor(t)
    t.match(await send(await handshakeBy(other, text)), over, 'another acceptor')
    const name = peer.trustDomain.split('.')[0] ?? ''
    t.equal(
      (await acme.call('GET', '/relationships?limit=500')).body.items.filter(
        (one: { name: string }) => one.name.startsWith(name),
      ).length,
      1,
    )
  },
)

t.test('a message that was seen cannot be used by who has no key of the acceptor', async (t) => {
  const peer = await acceptor(t)
  const text = await invite({ for: peer.trustDomain })
  const token = await handshakeBy(peer, text)
  t.equal((await send(token)).status, 200)
  const [header, payload] = token.split('.')
  t.match(await send(`${header}.${payload}.${'A'.repeat(86)}`), {
    status: 401,
    code: 'SVID_INVALID',
  })
})

t.test('an unknown secret is answered as no message at all', async (t) => {
  const peer = await acceptor(t)
  const text = await invite()
  const known = await handshakeBy(peer, text)
  const [header = '', payload = '', signature = ''] = known.split('.')
  const unknown = await handshakeBy(peer, text, { proof: inviteProof(newInviteSecret()) })
  const rest = ({ status, code, detail }: Awaited<ReturnType<typeof send>>) => ({
    status,
    code,
    detail,
  })
  const wanted = rest(await send(unknown))
  t.match(wanted, { status: 403, code: 'INVITE_REFUSED' })
  const claims = payloadOf(known)
  const signer = await endpointSigner(peer)
  const resigned = (change: object, typ = 'entente-handshake+jws') =>
    signX5cJws({ typ, claims: { ...claims, ...change } }, signer)
  const malformed = {
    empty: '',
    text: 'hello',
    'two parts': `${header}.${payload}`,
    'no base64url': `${header}.%%.${signature}`,
    'another typ': resigned({}, 'entente-bundle+jws'),
    'an unknown claim': resigned({ more: 1 }),
    'no proof': resigned({ proof: undefined }),
    'a short proof': resigned({ proof: 'AAAA' }),
    'no acceptor': resigned({ acceptor: undefined }),
    'no times': resigned({ iat: undefined }),
    'a huge name': resigned({
      acceptor: { ...(claims['acceptor'] as object), mesh: 'x'.repeat(10_000) },
    }),
  }
  for (const [what, token] of Object.entries(malformed)) {
    t.same(rest(await send(token)), wanted, what)
  }
  t.equal((await send(known)).status, 200, 'and the invite is as good as before')
})

t.test('before the secret is shown nothing is fetched and nobody is connected to', async (t) => {
  const peer = await acceptor(t)
  const text = await invite()
  await send(await handshakeBy(peer, text, { proof: inviteProof(newInviteSecret()) }))
  t.same(peer.requests, [])
})

t.test('a body beyond 1 MiB or of another kind is not read', async (t) => {
  t.equal((await send('A'.repeat(1024 * 1024 + 1))).status, 413)
  t.equal((await send('{}', 'application/json')).status, 403)
  t.equal((await send('x', 'text/html')).status, 415)
})

t.test('whoever knows the secret is told what is wrong, and our operator sees it', async (t) => {
  const peer = await acceptor(t)
  const created = await inviteOf(acme, {})
  const text = created.invite as string
  const now = systemClock.now()
  const evil = await FakeAuthority.root('evil.example')
  const twin = await FakeAuthority.root(peer.trustDomain)
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const own = await endpointSigner(peer)
  const { side: inviter } = parseInvite(text)
  const other = { ...inviter, meshName: 'acme2' }
  const moved = {
    ...inviter,
    domains: inviter.domains.map((domain) => ({
      ...domain,
      url: parseEndpointUrl('https://localhost/x'),
    })),
  }
  const cases: [string, Promise<string>, RegExp][] = [
    [
      '5 minutes behind',
      handshakeBy(peer, text, { now: addSeconds(now, -300) }),
      /ended .* clock behind/,
    ],
    ['5 minutes ahead', handshakeBy(peer, text, { now: addSeconds(now, 300) }), /s ahead of ours/],
    [
      'an invite that was changed',
      handshakeBy(peer, text, { inviter: other }),
      /changed on its way/,
    ],
    ['another URL of ours', handshakeBy(peer, text, { inviter: moved }), /changed on its way/],
    [
      'a chain to another domain',
      handshakeBy(peer, text, { signer: await signerBy(evil, { uris: [peer.endpointId] }) }),
      /not signed as it must be/,
    ],
    [
      'a root of the same name',
      handshakeBy(peer, text, { signer: await signerBy(twin, { uris: [peer.endpointId] }) }),
      /not signed as it must be/,
    ],
    [
      'another SVID of the domain',
      handshakeBy(peer, text, {
        signer: await signerBy(peer.root, { uris: [`spiffe://${peer.trustDomain}/web`] }),
      }),
      /signed by .*web.*wanted/,
    ],
    [
      'a key that is not in the chain',
      handshakeBy(peer, text, { signer: { ...own, privateKey: rsa } }),
      /not signed/,
    ],
    [
      'an SVID that has ended',
      handshakeBy(peer, text, {
        signer: await signerBy(peer.root, {
          uris: [peer.endpointId],
          notAfter: addSeconds(now, -60),
        }),
      }),
      /not signed as it must be/,
    ],
  ]
  for (const [what, token, reason] of cases) {
    const answer = await send(await token)
    t.match(answer, { status: 403, code: 'INVITE_REFUSED', detail: reason }, what)
    t.match((await listed(created.id)).lastRefusal?.reason, reason, `${what}: our operator sees it`)
  }
  t.same(peer.requests, [], 'nothing was fetched for any of them')
  t.equal((await listed(created.id))['state'], 'open')
})

t.test('an acceptor that cannot be reached is told, and the invite stays good', async (t) => {
  const peer = await acceptor(t)
  const text = await invite({ for: peer.trustDomain })
  const signer = await endpointSigner(peer)
  const side = sideOf(peer)
  const at = (url: string) => ({
    ...side,
    domains: side.domains.map((domain) => ({ ...domain, url: parseEndpointUrl(url) })),
  })
  const nowhere = await send(
    await handshakeBy(peer, text, { signer, acceptor: at('https://localhost:1/x') }),
  )
  t.match(nowhere, {
    status: 502,
    code: 'PEER_UNREACHABLE',
    detail: /they cannot fetch your bundle: nothing listens/,
  })
  peer.behaviour = behave.answer(404)
  t.match(await send(await handshakeBy(peer, text, { signer })), {
    detail: /cannot fetch your bundle: .*404/,
  })
  await peer.presentId('spiffe://evil.example/x')
  t.match(await send(await handshakeBy(peer, text, { signer })), { code: 'PEER_IDENTITY_REFUSED' })
  await peer.presentId(peer.endpointId)
  const stranger = await FakeAuthority.root(peer.trustDomain)
  peer.behaviour = behave.answer(200, peer.bundle(5n, { roots: [stranger] }))
  t.match(await send(await handshakeBy(peer, text, { signer })), {
    detail: /another one than was sent/,
  })
  peer.behaviour = behave.serve(peer)
  t.equal((await send(await handshakeBy(peer, text, { signer }))).status, 200)
})

t.test(
  'egress policy is one sentence for the acceptor and a command for our operator',
  async (t) => {
    const peer = await acceptor(t)
    const created = await inviteOf(acme, {})
    const side = sideOf(peer)
    const inside = {
      ...side,
      domains: side.domains.map((domain) => ({
        ...domain,
        url: parseEndpointUrl('https://10.1.2.3/x'),
      })),
    }
    const answer = await send(await handshakeBy(peer, created.invite, { acceptor: inside }))
    t.match(answer, { status: 422, code: 'EGRESS_REFUSED', detail: /their egress policy/ })
    t.notMatch(answer.text, /10\.1\.2\.3|entente egress/)
    t.match((await listed(created.id)).lastRefusal, {
      reason: /10\.1\.2\.3/,
      next: 'entente egress allow 10.1.2.3',
    })
  },
)

t.test('an invite for somebody refuses everybody else, and stays good for him', async (t) => {
  const [peer, reader] = [await acceptor(t), await acceptor(t)]
  const created = await inviteOf(acme, { for: peer.trustDomain })
  t.match(await send(await handshakeBy(reader, created.invite)), {
    status: 403,
    detail: new RegExp(`it is for ${peer.trustDomain}, and ${reader.trustDomain} answered`),
  })
  t.same(reader.requests, [], 'nothing of his was fetched')
  t.equal((await send(await handshakeBy(peer, created.invite))).status, 200)
})

t.test('a fingerprint in the invite refuses who takes the name with keys of his own', async (t) => {
  const peer = await acceptor(t)
  const thief = await FakePeer.open(t, peer.trustDomain)
  const { bundle } = parseBundle(peer.trustDomain, peer.document)
  const created = await inviteOf(acme, {
    for: peer.trustDomain,
    fingerprint: bundleFingerprint(bundle),
  })
  t.match(await send(await handshakeBy(thief, created.invite)), {
    status: 403,
    detail: /with another fingerprint/,
  })
  t.equal((await send(await handshakeBy(peer, created.invite))).status, 200)
})

t.test('a man in the middle who used an open invite is shown, and trusted by nobody', async (t) => {
  const [peer, thief] = [await acceptor(t), await acceptor(t)]
  const created = await inviteOf(acme, { as: `wanted-${made}` })
  const first = await send(await handshakeBy(thief, created.invite))
  t.match(payloadOf(first.text), { consent: 'pending' })
  t.match(await send(await handshakeBy(peer, created.invite)), {
    status: 409,
    detail: /was used already/,
  })
  const name = `wanted-${made}`
  t.match((await relationship(name)).body, {
    state: 'pending',
    ourConsent: 'pending',
    waitingFor: ['our consent'],
    domains: [{ trustDomain: thief.trustDomain }],
  })
  const looked = await acme.call('POST', `/relationships/${name}/approve?dryRun=true`, {})
  const { bundle } = parseBundle(thief.trustDomain, thief.document)
  t.match(looked.body, {
    peerAuthorities: [{ trustDomain: thief.trustDomain, fingerprint: bundleFingerprint(bundle) }],
    ours: [{ trustDomain: 'acme.example', fingerprint: created.fingerprints[0].fingerprint }],
  })
  t.match(await listed(created.id), {
    state: 'used',
    usedBy: thief.trustDomain,
    relationship: name,
  })
})

t.test('approving tells the acceptor at its next repetition', async (t) => {
  const peer = await acceptor(t)
  const text = await invite()
  const token = await handshakeBy(peer, text)
  t.match(payloadOf((await send(token)).text), { consent: 'pending' })
  const name = peer.trustDomain.split('.')[0] ?? ''
  const { etag = '' } = await relationship(name)
  const approved = await acme.call(
    'POST',
    `/relationships/${name}/approve`,
    {},
    { 'if-match': etag },
  )
  t.match(approved, { status: 200, body: { relationship: { state: 'active' } } })
  t.match(payloadOf((await send(token)).text), { consent: 'given' })
})

t.test('what came of an invite can end; the message then means nothing', async (t) => {
  const peer = await acceptor(t)
  const text = await invite({ for: peer.trustDomain })
  const token = await handshakeBy(peer, text)
  t.equal((await send(token)).status, 200)
  const name = peer.trustDomain.split('.')[0] ?? ''
  const { etag = '' } = await relationship(name)
  await acme.call('POST', `/relationships/${name}/terminate`, {}, { 'if-match': etag })
  t.match(await send(token), { status: 409, code: 'INVITE_OVER', detail: /is over/ })
})

t.test('expired and cancelled invites never work again', async (t) => {
  const peer = await acceptor(t)
  const cancelled = await inviteOf(acme, {})
  t.match((await acme.call('DELETE', `/invites/${cancelled.id}`)).body, { state: 'cancelled' })
  const over = { status: 409, code: 'INVITE_OVER' }
  t.match(await send(await handshakeBy(peer, cancelled.invite)), {
    ...over,
    detail: /was cancelled/,
  })
  const ended = await inviteOf(acme, { expiresSeconds: 60 })
  await setExpiry(acme, ended.id, addSeconds(systemClock.now(), -1))
  t.match(await send(await handshakeBy(peer, ended.invite)), { ...over, detail: /has expired/ })
  t.same(peer.requests, [])
  t.match((await acme.call('DELETE', `/invites/${ended.id}`)).body, { code: 'INVITE_OVER' })
})

t.test('of 64 acceptors at once exactly one wins', async (t) => {
  const peer = await acceptor(t)
  const text = await invite({ for: peer.trustDomain })
  const tokens = await Promise.all(Array.from({ length: 64 }, () => handshakeBy(peer, text)))
  const answers = await Promise.all(tokens.map((token) => send(token, 'application/jose', crowd)))
  const by = Map.groupBy(answers, ({ status }) => status)
  t.equal(by.get(200)?.length, 1)
  t.same(
    // 502: a busy machine did not reach the acceptor in time; such a message can be sent again.
    [...by.keys()].filter((status) => ![200, 409, 429, 502].includes(status)),
    [],
  )
  const domain = peer.trustDomain
  const { items } = (await acme.call('GET', '/relationships?limit=500')).body
  t.equal(
    items.filter(
      (one: { domains: { trustDomain: string }[] }) => one.domains[0]?.trustDomain === domain,
    ).length,
    1,
  )
})

t.test('one message that arrives many times at once gets one answer', async (t) => {
  const peer = await acceptor(t)
  const text = await invite({ for: peer.trustDomain })
  const token = await handshakeBy(peer, text)
  const answers = await Promise.all(
    Array.from({ length: 16 }, () => send(token, 'application/jose', crowd)),
  )
  const reached = answers.filter(({ status }) => status !== 502)
  t.same(new Set(reached.map(({ status }) => status)), new Set([200]))
  t.equal((await send(token, 'application/jose', crowd)).status, 200, 'and can be sent again')
})

t.test('a name that is taken is made another, and the list says which', async (t) => {
  const [one, two] = [await acceptor(t), await acceptor(t)]
  const invites = [await inviteOf(acme, {}), await inviteOf(acme, {})]
  for (const [index, peer] of [one, two].entries()) {
    const side = sideOf(peer, { meshName: 'prod' })
    const text = invites[index].invite as string
    t.equal((await send(await handshakeBy(peer, text, { acceptor: side }))).status, 200)
  }
  t.equal((await listed(invites[0].id))['relationship'], 'prod')
  t.equal((await listed(invites[1].id))['relationship'], 'prod-2')
})

t.test('FE-44 an acceptor in a domain of ours, or of a peer, is refused', async (t) => {
  const self = await FakePeer.open(t, 'acme.example')
  t.match(await send(await handshakeBy(self, await invite())), {
    status: 422,
    code: 'RELATIONSHIP_INVALID',
  })
  const peer = await acceptor(t)
  t.equal((await send(await handshakeBy(peer, await invite()))).status, 200)
  t.match(await send(await handshakeBy(peer, await invite())), {
    status: 409,
    code: 'ALREADY_EXISTS',
    detail: /federate with one of your trust domains already/,
  })
})

t.test('an endpoint ID in a message is pinned exactly as it was declared', async (t) => {
  const peer = await acceptor(t)
  const endpointId = parseSpiffeId(`spiffe://${peer.trustDomain}/own/endpoint`)
  await peer.presentId(endpointId)
  const side = sideOf(peer)
  const declared = { ...side, domains: side.domains.map((domain) => ({ ...domain, endpointId })) }
  const token = writeHandshake(
    {
      proof: inviteProof(parseInvite(await invite({ as: 'declared' })).secret),
      acceptor: declared,
      inviter: parseInvite(await invite()).side,
      now: systemClock.now(),
    },
    await signerBy(peer.root, { uris: [peer.endpointId] }),
  )
  t.match(await send(token), { status: 403, detail: /changed on its way/ }, 'of another invite')
  const text = await invite({ as: 'declared' })
  const wrong = await handshakeBy(peer, text, { acceptor: declared })
  t.match(await send(wrong), {
    status: 403,
    detail: /signed by .*bundle-endpoint.*wanted .*own\/endpoint/,
  })
  const signer = await signerBy(peer.root, { uris: [endpointId] })
  t.equal((await send(await handshakeBy(peer, text, { acceptor: declared, signer }))).status, 200)
  t.match((await relationship('declared')).body.domains[0], { endpointSpiffeId: endpointId })
})

/** What an actor did, as the audit log has it once it is sealed. */
async function actionsOf(wanted: string): Promise<string[]> {
  const { body } = await acme.service.admin('GET', '/audit?limit=500')
  const items = body.items as { action: string; actor: string }[]
  const own = items.filter(({ actor }) => actor === wanted).map(({ action }) => action)
  return own.toSorted((one, other) => (one < other ? -1 : 1))
}

async function setExpiry({ service }: Party, id: string, at: Date): Promise<void> {
  const { db } = service.service.base.database
  await db.updateTable('invite').set({ expires_at: at }).where('id', '=', id).execute()
}
