import t from 'tap'
import { FakePeer } from '../../support/fake-peer.ts'
import { federationApp } from '../federation-app.ts'

const allow = (rule: string, more: object = {}) => ({ body: { rule, ...more } })

t.test(
  'FE-43 a destination is opened, listed, and closed again, each with an audit record',
  async (t) => {
    const app = await federationApp(t)
    const made = await app.call(
      'POST',
      '/egress-rules',
      allow('10.20.0.0/16:8443', { note: 'lab' }),
    )
    t.equal(made.status, 201)
    t.match(made.body, {
      rule: '10.20.0.0/16:8443',
      meshId: null,
      note: 'lab',
      source: 'setting',
      next: ['entente egress list'],
    })
    t.match((await app.call('GET', '/egress-rules')).body.items, [
      { rule: 'localhost', source: 'configuration', id: null },
      { rule: '10.20.0.0/16:8443', source: 'setting' },
    ])
    t.match(await app.egress.rulesFor('acme'), [
      { kind: 'localhost' },
      { kind: 'range', port: 8443 },
    ])
    const path = `/egress-rules/${made.body.id}`
    t.equal((await app.call('DELETE', `${path}?dryRun=true`)).status, 200)
    t.equal((await app.call('DELETE', path)).status, 200)
    t.equal((await app.call('DELETE', path)).status, 404)
    t.equal((await app.egress.rulesFor('acme')).length, 1)
    const records = await app.database.db
      .selectFrom('audit_record')
      .select(['action', 'object', 'actor'])
      .where('action', 'like', 'egress-rule.%')
      .orderBy('id')
      .execute()
    t.same(records, [
      { action: 'egress-rule.create', object: 'egress-rule/10.20.0.0/16:8443', actor: 'tester' },
      { action: 'egress-rule.delete', object: 'egress-rule/10.20.0.0/16:8443', actor: 'tester' },
    ])
  },
)

t.test('what is no rule, known already, or for a mesh that is not there is refused', async (t) => {
  const app = await federationApp(t)
  const post = (rule: string, more: object = {}) =>
    app.call('POST', '/egress-rules', allow(rule, more))
  t.match((await post('10.20.3.4/16')).body, {
    status: 422,
    code: 'EGRESS_RULE_INVALID',
    detail: /the range begins at 10\.20\.0\.0\/16/,
  })
  t.equal((await post('fd00::/8')).status, 201)
  t.equal((await post('[fd00::]:443')).status, 201)
  t.equal((await post('fd00:0::/8')).status, 409)
  t.equal((await post('fd00::/8', { meshId: 'acme' })).status, 201)
  t.equal((await post('10.0.0.1', { meshId: 'nowhere' })).status, 404)
  t.equal((await post('10.0.0.1', { mesh: 'acme' })).status, 400)
})

t.test('a rule of one mesh opens nothing for another', async (t) => {
  const app = await federationApp(t)
  await app.call('POST', '/egress-rules', allow('10.0.0.1', { meshId: 'acme' }))
  t.equal((await app.egress.rulesFor('acme')).length, 2)
  t.equal((await app.egress.rulesFor('other')).length, 1)
})

t.test(
  'a refusal of policy shows with its command, and the poll succeeds once it is followed',
  async (t) => {
    const app = await federationApp(t, { egressAllow: [] })
    const peer = await FakePeer.open(t, 'globex.example')
    const made = await app.addPeer(peer)
    t.equal(made.body.next[0], `entente egress allow localhost:${peer.port}`)
    await app.poll()
    const [domain] = (await app.show()).domains
    t.match(domain?.poll?.lastError, /egress policy does not open localhost \(127\.0\.0\.1\)/)
    const refused = await app.call('POST', '/meshes/acme/relationships/globex/refresh', {
      body: {},
    })
    t.match(refused.body.outcomes, [
      { error: { code: 'EGRESS_REFUSED', next: `entente egress allow localhost:${peer.port}` } },
    ])
    t.equal(peer.requests.length, 0)
    await app.call('POST', '/egress-rules', allow(`localhost:${peer.port}`))
    const now = await app.call('POST', '/meshes/acme/relationships/globex/refresh', { body: {} })
    t.match(now.body, { outcomes: [{ outcome: 'accepted' }], relationship: { state: 'active' } })
  },
)
