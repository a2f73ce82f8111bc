import t, { type Test } from 'tap'
import { addRelationship } from '../policy-app.ts'
import { acmeInTwoNetworks } from '../resolve/resolve-app.ts'

const RULES = '/v1/meshes/acme/rules'
const EXPORTS = '/v1/meshes/acme/relationships/globex/exports'

const service = (namespace: string, name: string) => ({
  namespace,
  name,
  ports: [{ name: 'http', port: 80 }],
  identities: [`/ns/${namespace}/sa/${name}`],
})
const exported = (namespace: string, name: string) => ({
  direction: 'export',
  effect: 'allow',
  subject: { namespace, name },
  audience: { kind: 'peers', relationships: ['globex'] },
})

/** Acme, where an administrator shows `vault/secret` to globex as `web/front`, and who asks as developer of web. */
async function aliased(t: Test) {
  const { call, placed, clock } = await acmeInTwoNetworks(t)
  await addRelationship(placed.db, placed.meshId, { name: 'globex' })
  await call('POST', '/v1/meshes/acme/services', { body: service('vault', 'secret') })
  const as = { namespace: 'web', name: 'front' }
  const body = { ...exported('vault', 'secret'), name: 'hush', as }
  const alias = (await call('POST', RULES, { body })).body
  clock.advance(1000)
  const grant = { label: 'web', meshId: 'acme', role: 'developer', namespaces: ['web'] }
  const { token } = (await call('POST', '/v1/api-tokens', { body: grant })).body
  const web = (method: string, path: string, body?: object) => call(method, path, { token, body })
  return { call, web, secrets: new RegExp(`vault|secret|hush|${alias.id}`) }
}

t.test('a developer is not told whose service an alias gave the name of his', async (t) => {
  const { call, web, secrets } = await aliased(t)
  t.equal((await web('POST', '/v1/meshes/acme/services', service('web', 'front'))).status, 201)
  t.equal((await web('POST', RULES, exported('web', 'front'))).status, 201)

  const listed = await web('GET', EXPORTS)
  t.match(listed.body.items, [
    {
      name: 'front',
      state: 'conflict',
      reason: 'web/front is the name of another service already',
      conflictsWith: { service: null, ruleId: null, ruleName: null },
    },
  ])
  t.notMatch(listed.text, secrets)

  const why = await web('GET', '/v1/meshes/acme/explain?service=web/front&to=globex')
  t.equal(why.body.decision, 'deny')
  t.notMatch(why.text, secrets)

  const whole = await call('GET', EXPORTS)
  t.match(
    whole.body.items.find(({ namespace }: { namespace: string }) => namespace === 'web'),
    {
      reason: 'web/front is the name of vault/secret already, by rule hush',
      conflictsWith: { service: 'vault/secret', ruleName: 'hush' },
    },
  )
})

t.test('a name that clashes is refused to a developer without the other service', async (t) => {
  const { web, secrets } = await aliased(t)
  await web('POST', '/v1/meshes/acme/services', service('web', 'home'))
  const clash = await web('POST', RULES, { ...exported('web', 'home'), as: { name: 'front' } })
  t.match(clash.body, {
    status: 422,
    detail: 'web/home and another service would both be web/front to globex',
  })
  t.notMatch(clash.text, secrets)
})

t.test('answers name a rule by its name, and carry its id too', async (t) => {
  const { call } = await aliased(t)
  const why = await call('GET', '/v1/meshes/acme/explain?service=vault/secret&to=globex')
  const step = why.body.steps.find(({ step }: { step: string }) => step === 'exportRule')
  t.match(step, {
    ruleId: /^[0-9a-f-]{36}$/,
    ruleName: 'hush',
    reason: 'rule hush (export allow vault/secret to globex as web/front) allows it',
  })
  const { body } = await call('GET', EXPORTS)
  t.match(body.items, [{ ruleId: step.ruleId, ruleName: 'hush', reason: step.reason }])
})
