import t, { type Test } from 'tap'
import { befriend, Caller, openReceiver, type Receiver } from './peer-caller.ts'

const PATH = '/federation/v1/notices'

const send = async (receiver: Receiver, body: string, token?: string) => {
  const headers = {
    'content-type': 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  const answer = await receiver.app.inject({ method: 'POST', url: PATH, headers, body })
  await receiver.desk.idle()
  return { status: answer.statusCode, body: answer.body }
}

const notice = (change: object = {}): string =>
  JSON.stringify({ kind: 'bundle', trustDomain: 'globex.example', sequence: '2', ...change })

const notify = (receiver: Receiver, caller: Caller, body = notice()) =>
  send(receiver, body, caller.token({ method: 'POST', path: PATH, body }, receiver.clock.now()))

/** A receiver whose peer globex is polled and asked in five minutes. */
const withGlobex = async (t: Pick<Test, 'teardown'>) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  const { meshId, id } = await befriend(receiver, globex)
  const { db } = receiver.database
  const later = new Date(receiver.clock.now().getTime() + 300_000)
  const poll = {
    mesh_id: meshId,
    relationship_id: id,
    trust_domain: globex.trustDomain,
    next_at: later,
    owner: null,
    lease_until: null,
    http_etag: null,
    health_reason: null,
    last_attempt_at: receiver.clock.now(),
    last_success_at: receiver.clock.now(),
    last_error: null,
  }
  await db.insertInto('poll').values(poll).execute()
  const seconds = (at: Date): number => (at.getTime() - receiver.clock.now().getTime()) / 1000
  const next = async () => {
    const polled = await db.selectFrom('poll').select('next_at').executeTakeFirstOrThrow()
    const asked = await db.selectFrom('peer_exchange').select('next_at').executeTakeFirstOrThrow()
    return { poll: seconds(polled.next_at), ask: seconds(asked.next_at) }
  }
  const postpone = async () => {
    const at = new Date(receiver.clock.now().getTime() + 300_000)
    await db.updateTable('poll').set({ next_at: at }).execute()
    await db.updateTable('peer_exchange').set({ next_at: at }).execute()
  }
  const show = () =>
    db
      .selectFrom('relationship')
      .select(['state', 'our_consent', 'their_consent', 'standing_reason'])
      .executeTakeFirstOrThrow()
  return { receiver, globex, next, postpone, show, db }
}

t.test(
  'a verified notice has the bundle polled at once, the next within five seconds then',
  async (t) => {
    const { receiver, globex, next, postpone } = await withGlobex(t)
    t.equal((await notify(receiver, globex)).status, 202)
    t.same(await next(), { poll: 0, ask: 5 }, 'the question after it finds out whether it came')
    t.ok(receiver.kicks() > 0)
    await postpone()
    await notify(receiver, globex)
    t.equal((await next()).poll, 5)
    await postpone()
    await receiver.clock.advance(2000)
    await notify(receiver, globex)
    t.equal((await next()).poll, 3, 'the third of them waits for the same turn')
  },
)

t.test('a notice of a bundle that was fetched already leads to no poll', async (t) => {
  const { receiver, globex, next, db } = await withGlobex(t)
  await db.updateTable('peer_bundle_revision').set({ origin: 'fetched' }).execute()
  await notify(receiver, globex, notice({ sequence: '1' }))
  t.equal((await next()).poll, 300)
  await notify(receiver, globex, notice({ sequence: '2' }))
  t.equal((await next()).poll, 0)
})

t.test('a notice of consent makes us ask, and says nothing that is believed', async (t) => {
  const { receiver, globex, next, show } = await withGlobex(t)
  const before = await show()
  const body = JSON.stringify({
    kind: 'relationship',
    trustDomain: 'globex.example',
    consent: 'withdrawn',
    state: 'terminated',
    keys: [{ kty: 'EC', use: 'x509-svid' }],
  })
  t.equal((await notify(receiver, globex, body)).status, 202)
  t.same(await next(), { poll: 300, ask: 0 })
  t.same(await show(), before)
})

t.test('whoever sends a notice, the answer is the same', async (t) => {
  const { receiver, globex } = await withGlobex(t)
  const umbrella = new Caller('umbrella')
  const body = notice()
  const token = globex.token({ method: 'POST', path: PATH, body }, receiver.clock.now())
  const answers = [
    await send(receiver, body, token),
    await send(receiver, body, token),
    await send(receiver, body),
    await send(receiver, notice({ trustDomain: 'nobody.example' }), token),
    await notify(receiver, umbrella),
    await send(receiver, body, 'a.b.c'),
  ]
  t.same(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1)
  t.same(answers[0], { status: 202, body: '' })
})

t.test(
  'a notice that cannot be verified is a hint, once per relationship and minute',
  async (t) => {
    const { receiver, globex, next, postpone, show } = await withGlobex(t)
    const before = await show()
    const rotated = new Caller('globex')
    await notify(receiver, rotated, notice({ kind: 'relationship' }))
    t.same(await next(), { poll: 0, ask: 0 }, 'its newest key may be the one that we miss')
    await postpone()
    for (let turn = 0; turn < 5; turn += 1) await notify(receiver, rotated)
    await notify(receiver, new Caller('globex'))
    t.same(await next(), { poll: 300, ask: 300 })
    await receiver.clock.advance(59_000)
    await notify(receiver, rotated)
    t.same(await next(), { poll: 241, ask: 241 })
    await receiver.clock.advance(1000)
    await notify(receiver, rotated)
    t.same(await next(), { poll: 0, ask: 0 })
    t.same(await show(), before)
    await postpone()
    await notify(receiver, globex)
    t.equal((await next()).poll, 0, 'hints use up nothing of what the peer itself may do')
  },
)

t.test('a hint for another mesh, an unknown domain or nobody leads to nothing', async (t) => {
  const { receiver, next } = await withGlobex(t)
  const umbrella = new Caller('umbrella')
  const to = (aud: string) =>
    umbrella.token({ method: 'POST', path: PATH, claims: { aud: [aud] } }, receiver.clock.now())
  await send(receiver, notice(), to('spiffe://beta.example/entente/exchange'))
  await send(receiver, notice(), to('spiffe://acme.example/entente/bundle-endpoint'))
  await send(receiver, notice())
  await send(
    receiver,
    notice({ trustDomain: 'umbrella.example' }),
    to('spiffe://acme.example/entente/exchange'),
  )
  t.same(await next(), { poll: 300, ask: 300 })
})

t.test(
  'the end of a relationship is believed when it is verified, with the reason; it only takes trust away',
  async (t) => {
    const { receiver, globex, show, db } = await withGlobex(t)
    const body = notice({ kind: 'termination', reason: 'merged\u0000 with\u202e initech' })
    await notify(receiver, new Caller('globex'), body)
    t.not((await show()).state, 'suspended', 'anybody can say so')
    const replayed = globex.token({ method: 'POST', path: PATH, body }, receiver.clock.now())
    await send(receiver, body, replayed)
    t.match(await show(), {
      state: 'suspended',
      our_consent: 'given',
      their_consent: 'withdrawn',
      standing_reason: 'the peer has terminated the relationship: merged  with  initech',
    })
    const audited = await db
      .selectFrom('audit_record')
      .select(['action', 'actor'])
      .where('action', '=', 'relationship.peer-withdraws')
      .execute()
    t.same(audited, [{ action: 'relationship.peer-withdraws', actor: 'timer:peer-status' }])
    await send(receiver, body, replayed)
    t.equal((await notify(receiver, globex, body)).status, 202, 'again: nothing more to take away')
  },
)

t.test('what is no notice is refused before anybody is looked for', async (t) => {
  const { receiver, globex } = await withGlobex(t)
  const bad: readonly (readonly [string, number])[] = [
    ['', 400],
    ['[]', 400],
    ['{"kind":"bundle","kind":"bundle","trustDomain":"globex.example"}', 400],
    [notice({ kind: 'keys' }), 400],
    [notice({ trustDomain: 'Globex' }), 422],
    [notice({ trustDomain: undefined }), 400],
    [notice({ sequence: 2 }), 400],
    [notice({ sequence: '-1' }), 400],
    [notice({ filler: 'x'.repeat(65_536) }), 413],
  ]
  for (const [body, status] of bad) {
    t.equal((await notify(receiver, globex, body)).status, status, body.slice(0, 80))
  }
  const text = { 'content-type': 'text/plain' }
  const plain = await receiver.app.inject({ method: 'POST', url: PATH, headers: text, body: 'x' })
  t.equal(plain.statusCode, 415)
})

t.test('notices beyond what one peer may send are dropped without a word', async (t) => {
  const { receiver, globex, next, postpone } = await withGlobex(t)
  for (let turn = 0; turn < 20; turn += 1) await notify(receiver, globex)
  await postpone()
  t.equal((await notify(receiver, globex, notice({ kind: 'relationship' }))).status, 202)
  t.same(await next(), { poll: 300, ask: 300 })
})
