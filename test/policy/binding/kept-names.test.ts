import t, { type Test } from 'tap'
import { addRelationship } from '../policy-app.ts'
import { acmeInTwoNetworks } from '../resolve/resolve-app.ts'

const RULES = '/v1/meshes/acme/rules'
const OFFERS = '/v1/meshes/acme/relationships/globex/offers'

/** Acme with the peer globex; every act comes a second after the one before. */
async function acme(t: Test) {
  const { call, placed, clock, resolve } = await acmeInTwoNetworks(t)
  await addRelationship(placed.db, placed.meshId, { name: 'globex' })
  const act = async (method: string, path: string, body?: object, ifMatch?: string) => {
    clock.advance(1000)
    const headers = ifMatch === undefined ? {} : { 'if-match': ifMatch }
    const answer = await call(method, path, { headers, ...(body && { body }) })
    t.ok(answer.status < 300, answer.text)
    return answer.body
  }
  const rule = (name: string, more: object = {}) =>
    act('POST', RULES, {
      direction: 'import',
      effect: 'allow',
      subject: { namespace: 'market', name },
      audience: { kind: 'peers', relationships: ['globex'] },
      ...more,
    })
  const offer = (name: string) =>
    act('POST', OFFERS, {
      namespace: 'market',
      name,
      ports: [{ name: 'http', port: 80 }],
      identities: [`/ns/market/sa/${name}`],
      gateways: [{ address: 'gw.globex.example', port: 15_443 }],
    })
  const withdraw = (name: string) => act('DELETE', `${OFFERS}/market/${name}`)
  const states = async () => {
    const { body } = await call('GET', OFFERS)
    return Object.fromEntries(
      (body.items as { name: string; state: string }[]).map(({ name, state }) => [name, state]),
    )
  }
  const ask = async (name: string) =>
    (await resolve({ service: `market/${name}`, of: 'globex', cluster: 'east' })).body
  return { call, act, rule, offer, withdraw, states, ask }
}

t.test('what lost its name is not resolved, and the answer says to whom', async (t) => {
  const { call, rule, offer, states, ask } = await acme(t)
  await rule('*')
  await rule('b', { as: { name: 'a' }, name: 'b-as-a' })
  await offer('b')
  await offer('a')
  t.same(await states(), { a: 'conflict', b: 'imported' }, 'an offer takes no name by coming')
  t.match(await ask('b'), {
    decision: 'allow',
    route: { hostname: /^a\.market\.svc\.globex\./ },
  })
  const lost = await ask('a')
  t.match(lost, { decision: 'deny', route: null, next: [/^entente rule show /] })
  const reason = 'market/a is the name of market/b already, by rule b-as-a'
  t.match(lost.steps.at(-1), { step: 'name', outcome: 'deny', reason })
  const why = await call('GET', '/v1/meshes/acme/explain?service=market/a&of=globex')
  t.match(why.body, { decision: 'deny', next: lost.next })
  t.same(why.body.steps.find(stepNamed('name')), lost.steps.at(-1))
  t.notOk(why.body.steps.find(stepNamed('route')), 'nor is told where it is')
})

const stepNamed =
  (name: string) =>
  ({ step }: { step: string }) =>
    step === name

t.test('an offer that was withdrawn and comes again is new', async (t) => {
  const { rule, offer, withdraw, states } = await acme(t)
  await rule('*')
  await rule('b', { as: { name: 'a' } })
  await offer('b')
  await offer('a')
  await withdraw('a')
  await offer('a')
  t.same(await states(), { a: 'conflict', b: 'imported' })
  await withdraw('b')
  t.same(await states(), { a: 'imported' })
  await offer('b')
  t.same(await states(), { a: 'imported', b: 'conflict' })
})

t.test('an old rule with another name takes none from what goes by it', async (t) => {
  const { act, rule, offer, states } = await acme(t)
  const old = await rule('c', { as: { name: 'z' } })
  await offer('c')
  await rule('*')
  await offer('a')
  const deny = await rule('c', { effect: 'deny' })
  await act('PATCH', `${RULES}/${old.id}`, { as: { name: 'a' } }, '"v1"')
  await act('DELETE', `${RULES}/${deny.id}`, undefined, '"v1"')
  t.same(await states(), { a: 'imported', c: 'conflict' })
})

t.test('one more rule that gives the same name leaves it to whoever has it', async (t) => {
  const { rule, offer, states } = await acme(t)
  await rule('*')
  await offer('a')
  await rule('b', { as: { name: 'a' } })
  await offer('b')
  t.same(await states(), { a: 'imported', b: 'conflict' })
  await rule('a', { visibleTo: ['web'] })
  t.same(await states(), { a: 'imported', b: 'conflict' })
})

t.test('a developer learns that a name is lost, and not by which rule of others', async (t) => {
  const { call, rule, offer } = await acme(t)
  const hush = await rule('a', { visibleTo: ['shop'], name: 'hush' })
  await offer('a')
  await rule('b', { as: { name: 'a' } })
  await offer('b')
  const grant = { label: 'web', meshId: 'acme', role: 'developer', namespaces: ['web'] }
  const { token } = (await call('POST', '/v1/api-tokens', { body: grant })).body
  const of = 'service=market/b&of=globex&namespace=web'
  const lost = /market\/a is the name of market\/a already"/
  for (const path of [`/resolve?cluster=east&${of}`, `/explain?${of}`]) {
    const { body, text } = await call('GET', `/v1/meshes/acme${path}`, { token })
    t.equal(body.decision, 'deny', path)
    t.match(text, lost, path)
    t.notMatch(text, new RegExp(`hush|${hush.id}`), path)
  }
  const { body, text } = await call('GET', OFFERS, { token })
  t.match(body.items, [{ name: 'a' }, { name: 'b', state: 'conflict' }])
  t.notMatch(text, new RegExp(`hush|${hush.id}`))
  t.match((await call('GET', OFFERS)).text, /by rule hush/)
})

t.test('a developer who gives up a name by his rule is told what becomes hidden', async (t) => {
  const { call, rule, offer } = await acme(t)
  const own = await rule('a', { visibleTo: ['web'], ownerScope: ['web'] })
  await offer('a')
  await rule('b', { as: { name: 'a' } })
  await offer('b')
  const grant = { label: 'web', meshId: 'acme', role: 'developer', namespaces: ['web'] }
  const { token } = (await call('POST', '/v1/api-tokens', { body: grant })).body
  const headers = { 'if-match': '"v1"' }
  const { body } = await call('DELETE', `${RULES}/${own.id}?dryRun=true`, { token, headers })
  t.match(body.changes.peers, [{ peer: 'globex', counts: { hidden: 1, visible: 1 } }])
})
