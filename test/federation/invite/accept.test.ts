import t, { type Test } from 'tap'
import { addSeconds, systemClock } from '../../../src/clock.ts'
import {
  type NewInvite,
  newInviteSecret,
  parseInvite,
  writeInvite,
} from '../../../src/federation/invite/invite.ts'
import { pruneInvites } from '../../../src/federation/invite/prune-invites.ts'
import { FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { type Answer } from '../../support/service.ts'
import { accept, inviteOf, party, type Party, partyIn } from './support.ts'

/** Two services of this file; each test makes meshes of its own in them. */
const [home, abroad] = [await party(t, 'home'), await party(t, 'abroad')]
const closed = await party(t, 'closed', { ENTENTE_EGRESS_ALLOW: '' })

let made = 0

const mesh = async (of: Party, name: string): Promise<Party> => {
  const meshId = `${name}-${(made += 1)}`
  const answer = await of.service.admin('POST', '/meshes', {
    meshId,
    trustDomain: `${meshId}.example`,
  })
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body))
  return partyIn(of.service, meshId)
}

const pair = async (): Promise<[Party, Party]> => [
  await mesh(home, 'acme'),
  await mesh(abroad, 'globex'),
]
const domainOf = ({ mesh: name }: Party) => `${name}.example`
const relationship = async (of: Party, name: string) =>
  (await of.call('GET', `/relationships/${name}`)).body
const names = async (of: Party) =>
  (await of.call('GET', '/relationships')).body.items.map(({ name }: { name: string }) => name)
const readers = async (of: Party) =>
  (await of.call('GET', '/bundle/readers')).body.items.map(({ label }: { label: string }) => label)
const rewritten = (text: string, change: (invite: NewInvite) => Partial<NewInvite>): string => {
  const read = parseInvite(text)
  return writeInvite({ ...read, ...change(read) })
}

t.test('one act on each side, and both trust each other', async (t) => {
  const [acme, globex] = await pair()
  const invite = await inviteOf(acme, { for: domainOf(globex) })
  const accepted = await accept(globex, invite.invite)
  t.match(accepted, {
    status: 201,
    body: {
      steps: [
        { step: 'invite valid', done: true },
        { step: 'we reached them', done: true },
        { step: 'they reached us', done: true },
        { step: 'both bundles verified', done: true },
      ],
      consent: 'given',
      relationship: {
        name: acme.mesh,
        state: 'active',
        ourConsent: 'given',
        theirConsent: 'given',
      },
    },
  })
  t.match(await relationship(acme, globex.mesh), {
    state: 'active',
    ourConsent: 'given',
    theirConsent: 'given',
    domains: [{ trustDomain: domainOf(globex), source: 'https_spiffe' }],
  })
  t.same(accepted.body.theirs, invite.fingerprints, 'both read the same digits for the inviter')
  const approve = `/relationships/${globex.mesh}/withdraw?dryRun=true`
  const seen = (await acme.call('POST', approve, {})).body.peerAuthorities[0].fingerprint
  t.equal(accepted.body.ours[0].fingerprint, seen, 'and for the acceptor')
})

t.test('each fetches the other by a URL of its own', async (t) => {
  const [acme, globex] = await pair()
  await accept(globex, (await inviteOf(acme, { for: domainOf(globex), as: 'partner' })).invite)
  for (const [one, other, name] of [
    [acme, globex, 'partner'],
    [globex, acme, acme.mesh],
  ] as const) {
    const { domains } = await relationship(one, name)
    t.match(
      domains[0].endpointUrl,
      new RegExp(`/bundles/${domainOf(other)}/for/[A-Za-z0-9_-]{43}$`),
    )
    const view = await relationship(other, other === acme ? 'partner' : acme.mesh)
    t.equal(view.readerUrl, domains[0].endpointUrl, 'and it is the reader of that relationship')
  }
})

t.test('without a name in the invite nothing is trusted before approval', async (t) => {
  const [acme, globex] = await pair()
  const { invite } = await inviteOf(acme)
  const accepted = await accept(globex, invite)
  t.match(accepted.body, {
    consent: 'pending',
    relationship: { state: 'pending', waitingFor: ["the peer's consent"] },
  })
  t.match(await relationship(acme, globex.mesh), { state: 'pending', waitingFor: ['our consent'] })
  const target = `/relationships/${globex.mesh}`
  const { etag = '' } = await acme.call('GET', target)
  t.equal((await acme.call('POST', `${target}/approve`, {}, { 'if-match': etag })).status, 200)
  t.match((await accept(globex, invite)).body, {
    consent: 'given',
    relationship: { state: 'active' },
  })
})

t.test('consent beforehand needs the name of the peer', async (t) => {
  const acme = await mesh(home, 'acme')
  t.match(await acme.call('POST', '/invites', { autoApprove: true }), {
    status: 400,
    body: { detail: /needs the name of the peer/, next: /--for TRUST-DOMAIN --auto-approve/ },
  })
  const named = await inviteOf(acme, { for: 'globex.example', autoApprove: true })
  t.equal(named.isApproved, true)
  t.equal((await inviteOf(acme)).isApproved, false)
  t.match(await acme.call('POST', '/invites', { fingerprint: '1'.repeat(40) }), { status: 400 })
  t.match(await acme.call('POST', '/invites', { for: 'a.example', fingerprint: '1' }), {
    status: 400,
  })
  t.match(await acme.call('POST', '/invites', { for: domainOf(acme) }), { status: 400 })
  t.match(await acme.call('POST', '/invites', { expiresSeconds: 8 * 86_400 }), { status: 400 })
})

const refused = async (
  t: Test,
  about: { readonly by: Party; readonly invite: string; readonly rest?: object },
  wanted: object,
): Promise<Answer> => {
  const before = [await names(about.by), await readers(about.by)]
  const answer = await accept(about.by, about.invite, about.rest)
  t.match(answer, wanted)
  t.same([await names(about.by), await readers(about.by)], before, 'nothing is left behind')
  return answer
}

t.test('what the two sides cannot do is refused before anything is contacted', async (t) => {
  const [acme, globex] = await pair()
  const { invite, id } = await inviteOf(acme, { for: domainOf(globex) })
  const first = { failedStep: 'invite valid' }
  await refused(
    t,
    { by: acme, invite },
    { status: 403, body: { ...first, detail: /of this very mesh/ } },
  )
  const other = await mesh(abroad, 'initech')
  await refused(
    t,
    { by: other, invite },
    {
      status: 403,
      body: {
        ...first,
        detail: new RegExp(`for ${domainOf(globex)}, and this mesh is ${domainOf(other)}`),
      },
    },
  )
  await refused(
    t,
    { by: globex, invite: invite.slice(0, -20) },
    { status: 422, body: { ...first, code: 'INVITE_INVALID', detail: /cut short/ } },
  )
  const ended = rewritten(invite, () => ({ expiresAt: addSeconds(systemClock.now(), -1) }))
  await refused(
    t,
    { by: globex, invite: ended },
    { status: 409, body: { ...first, code: 'INVITE_OVER' } },
  )
  const { items } = (await acme.call('GET', '/invites')).body
  t.match(items, [{ id, state: 'open', lastRefusal: null }], 'the inviter never heard of it')
})

t.test('a name that is taken asks for another', async (t) => {
  const [one, globex] = await pair()
  const two = await mesh(home, 'acme')
  const invites = [
    await inviteOf(one, { for: domainOf(globex) }),
    await inviteOf(two, { for: domainOf(globex) }),
  ]
  t.equal((await accept(globex, invites[0].invite, { as: 'prod' })).status, 201)
  await refused(
    t,
    { by: globex, invite: invites[1].invite, rest: { as: 'prod' } },
    {
      status: 409,
      body: { code: 'ALREADY_EXISTS', next: /entente federation accept FILE --as prod-acme/ },
    },
  )
  t.equal((await accept(globex, invites[1].invite, { as: 'prod-two' })).status, 201)
  t.same(await names(globex), ['prod', 'prod-two'])
})

t.test('FE-44 a peer that is federated already is refused', async (t) => {
  const [acme, globex] = await pair()
  t.equal((await accept(globex, (await inviteOf(acme)).invite)).status, 201)
  await refused(
    t,
    { by: globex, invite: (await inviteOf(acme)).invite, rest: { as: 'again' } },
    { status: 409, body: { code: 'ALREADY_EXISTS', detail: /already federates with/ } },
  )
  t.match(await acme.call('POST', '/invites', { for: domainOf(globex) }), { status: 409 })
})

t.test('what egress policy refuses is one command away, on either side', async (t) => {
  const acme = await mesh(home, 'acme')
  const { invite } = await inviteOf(acme, { for: domainOf(closed) })
  const port = new URL(home.service.publicUrl).port
  const answer = await refused(
    t,
    { by: closed, invite },
    { status: 422, body: { code: 'EGRESS_REFUSED', failedStep: 'we reached them' } },
  )
  t.match(answer.body.next, new RegExp(`^entente egress allow localhost:${port}$`))
  const [inviter, globex] = [closed, await mesh(abroad, 'globex')]
  const theirs = await inviteOf(inviter, { for: domainOf(globex) })
  const stopped = await accept(globex, theirs.invite)
  t.match(stopped.body, {
    failedStep: 'they reached us',
    detail: /they answered: their egress policy does not open your bundle endpoint/,
  })
  const { items } = (await inviter.call('GET', '/invites')).body
  t.match(items[0], {
    state: 'open',
    lastRefusal: { next: /^entente egress allow localhost:[0-9]+$/ },
  })
  const rule = String(items[0].lastRefusal.next).split(' ').at(-1)
  t.equal((await inviter.service.admin('POST', '/egress-rules', { rule })).status, 201)
  t.match(
    await accept(globex, theirs.invite),
    { status: 201, body: { consent: 'given' } },
    'the same again',
  )
})

t.test('a dry run checks and reaches, and changes nothing on either side', async (t) => {
  const [acme, globex] = await pair()
  const { invite } = await inviteOf(acme, { for: domainOf(globex) })
  const tried = await globex.call('POST', '/invites/accept?dryRun=true', { invite })
  t.match(tried, {
    status: 200,
    body: {
      steps: [{ done: true }, { done: true }, { done: false }, { done: false }],
      consent: null,
      relationship: { name: acme.mesh, state: 'pending' },
    },
  })
  t.same([await names(globex), await readers(globex), await names(acme)], [[], [], []])
  t.match((await acme.call('GET', '/invites')).body.items, [{ state: 'open' }])
  const made = await acme.call('POST', '/invites?dryRun=true', {})
  t.match(made, { status: 200, body: { invite: '(none in a dry run)' } })
  t.equal((await acme.call('GET', '/invites')).body.items.length, 1)
})

t.test('an invite that was used by somebody else leaves nothing behind', async (t) => {
  const [acme, globex] = await pair()
  const thief = await mesh(abroad, 'thief')
  const { invite } = await inviteOf(acme)
  t.equal((await accept(thief, invite)).status, 201)
  await refused(
    t,
    { by: globex, invite },
    {
      status: 409,
      body: {
        code: 'INVITE_OVER',
        failedStep: 'they reached us',
        detail: /they answered: .*used already/,
      },
    },
  )
  t.match(
    await relationship(acme, thief.mesh),
    { state: 'pending', ourConsent: 'pending' },
    'and the thief is shown',
  )
})

t.test("the inviter's keys may change between invite and acceptance", async (t) => {
  const [acme, globex] = await pair()
  const { invite } = await inviteOf(acme, { for: domainOf(globex) })
  const prepared = await acme.call('POST', '/authorities', { kind: 'x509_root' })
  t.equal(prepared.status, 201, JSON.stringify(prepared.body))
  const accepted = await accept(globex, invite)
  t.match(accepted, { status: 201, body: { relationship: { state: 'active' } } })
  const { x509Authorities } = (await relationship(globex, acme.mesh)).domains[0].bundle
  t.equal(x509Authorities, 2, 'what counts is the bundle that was fetched')
})

t.test('an invite whose keys are all gone says that another one is needed', async (t) => {
  const [acme, globex] = await pair()
  const { invite } = await inviteOf(acme, { for: domainOf(globex) })
  const root = await FakeAuthority.root(domainOf(acme))
  const stale = await bundleReplaced(invite, root)
  await refused(
    t,
    { by: globex, invite: stale },
    {
      status: 502,
      body: {
        code: 'PEER_IDENTITY_REFUSED',
        failedStep: 'we reached them',
        next: /another invite/,
      },
    },
  )
})

t.test('an invite that somebody changed on its way leads nowhere', async (t) => {
  const [acme, globex] = await pair()
  const { invite } = await inviteOf(acme, { for: domainOf(globex) })
  const renamed = rewritten(invite, ({ side }) => ({ side: { ...side, meshName: 'acme-x' } }))
  await refused(
    t,
    { by: globex, invite: renamed },
    {
      status: 403,
      body: { code: 'INVITE_REFUSED', detail: /they answered: .*changed on its way/ },
    },
  )
  const secret = rewritten(invite, () => ({ secret: newInviteSecret() }))
  await refused(
    t,
    { by: globex, invite: secret },
    { status: 403, body: { detail: /no such invite/ } },
  )
  const fake = await FakePeer.open(t, domainOf(acme))
  const between = rewritten(invite, ({ side }) => ({
    side: { ...side, domains: side.domains.map((domain) => ({ ...domain, url: fake.url })) },
  }))
  await refused(
    t,
    { by: globex, invite: between },
    { status: 502, body: { code: 'PEER_IDENTITY_REFUSED', failedStep: 'we reached them' } },
  )
  t.same(fake.requests, [], 'who cannot prove the endpoint gets no request')
  const { expiresAt } = parseInvite(invite)
  const longer = rewritten(invite, () => ({ expiresAt: addSeconds(expiresAt, 86_400) }))
  t.equal(
    (await accept(globex, longer)).status,
    201,
    'an end that was moved changes nothing: the inviter knows it',
  )
})

t.test('a new invite for the same peer cancels the old one, its URL too', async (t) => {
  const [acme, globex] = await pair()
  const old = await inviteOf(acme, { for: domainOf(globex), as: 'globex' })
  const other = await inviteOf(acme, { for: 'other.example' })
  const next = await inviteOf(acme, { for: domainOf(globex), as: 'globex' })
  t.same(next.cancelled, [old.id])
  t.match((await accept(globex, old.invite)).body, {
    code: 'PEER_ANSWER_REFUSED',
    failedStep: 'we reached them',
  })
  t.equal((await accept(globex, next.invite)).status, 201)
  const states = new Map(
    (await acme.call('GET', '/invites')).body.items.map(
      ({ id, state }: { id: string; state: string }) => [id, state],
    ),
  )
  t.same(
    [old, other, next].map(({ id }) => states.get(id)),
    ['cancelled', 'open', 'used'],
  )
})

t.test('invites that are over are kept for 30 days, their unused URLs not so long', async (t) => {
  const acme = await mesh(home, 'acme')
  const ended = await inviteOf(acme, { as: 'ended' })
  const open = await inviteOf(acme, { as: 'open' })
  const { database, now } = home.service.service.base
  const { side } = home.service.service.parts.invites
  const at = await now(database.db)
  const setEnd = (seconds: number) =>
    database.db
      .updateTable('invite')
      .set({ expires_at: addSeconds(at, seconds) })
      .where('id', '=', ended.id)
      .execute()
  t.same(await readers(acme), ['ended', 'open'])
  await setEnd(-1)
  await pruneInvites(database.db, { side, now })
  t.same(await readers(acme), ['open'])
  const ids = async (): Promise<Set<string>> =>
    new Set((await acme.call('GET', '/invites')).body.items.map(({ id }: { id: string }) => id))
  t.same(await ids(), new Set([ended.id, open.id]))
  await setEnd(-29 * 86_400)
  await pruneInvites(database.db, { side, now })
  t.same(await ids(), new Set([ended.id, open.id]))
  await setEnd(-31 * 86_400)
  await pruneInvites(database.db, { side, now })
  t.same(await ids(), new Set([open.id]))
})

t.test('the string is shown once, also when the request is repeated', async (t) => {
  const acme = await mesh(home, 'acme')
  const key = { 'idempotency-key': `invite-${acme.mesh}` }
  const first = await acme.call('POST', '/invites', {}, key)
  const again = await acme.call('POST', '/invites', {}, key)
  t.equal(first.status, 201)
  t.match(again, { status: 409, body: { code: 'SECRET_SHOWN_ONCE' } })
  const { secret } = parseInvite(first.body.invite)
  const hidden = Buffer.from(secret).toString('base64url')
  const listed = JSON.stringify((await acme.call('GET', '/invites')).body)
  const audit = JSON.stringify((await home.service.admin('GET', '/audit?limit=500')).body)
  for (const text of [listed, audit, ...home.service.lines]) t.notMatch(text, hidden)
})

t.test('of two acceptances at once by one mesh both tell the same', async (t) => {
  const [acme, globex] = await pair()
  const { invite } = await inviteOf(acme, { for: domainOf(globex) })
  const answers = await Promise.all([accept(globex, invite), accept(globex, invite)])
  t.ok(
    answers.some(({ status }) => status === 201),
    JSON.stringify(answers.map(({ body }) => body.detail)),
  )
  t.match(await accept(globex, invite), {
    status: 201,
    body: { relationship: { state: 'active' } },
  })
  t.equal((await names(globex)).length, 1)
})

t.test('an invite is nothing for another mesh', async (t) => {
  const [acme, other] = [await mesh(home, 'acme'), await mesh(home, 'other')]
  const { id } = await inviteOf(acme)
  t.equal((await other.call('DELETE', `/invites/${id}`)).status, 404)
  t.same((await other.call('GET', '/invites')).body.items, [])
})

async function bundleReplaced(text: string, root: FakeAuthority): Promise<string> {
  const peer = await FakePeer.open(t, parseInvite(text).side.domains[0]?.trustDomain ?? '')
  peer.root = root
  const document = peer.bundle(1n)
  return rewritten(text, ({ side }) => ({
    side: { ...side, domains: side.domains.map((domain) => ({ ...domain, document })) },
  }))
}
