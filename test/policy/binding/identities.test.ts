import t, { type Test } from 'tap'
import { addRelationship, setState } from '../policy-app.ts'
import { acmeInTwoNetworks } from '../resolve/resolve-app.ts'

const RULES = '/v1/meshes/acme/rules'
const EXPORTS = '/v1/meshes/acme/relationships/globex/exports'
const OFFERS = '/v1/meshes/acme/relationships/globex/offers'

async function acme(t: Test) {
  const { call, placed, clock } = await acmeInTwoNetworks(t)
  await addRelationship(placed.db, placed.meshId, { name: 'globex' })
  await addRelationship(placed.db, placed.meshId, { name: 'initech' })
  const rule = async (identity: string, more: object = {}) => {
    const audience = { kind: 'peers', relationships: ['globex'] }
    const shown = { direction: 'export', effect: 'allow', subject: { identity }, audience }
    const { status, text } = await call('POST', RULES, { body: { ...shown, ...more } })
    t.equal(status, 201, text)
  }
  const identities = async (path = EXPORTS) => (await call('GET', path)).body.identities
  return { call, clock, placed, rule, identities }
}

const everywhere = (path: string) => ({ path, clusters: null })

t.test('what a peer may meet of our identities stands beside what it is shown', async (t) => {
  const { clock, rule, identities } = await acme(t)
  t.same(await identities(), { shown: [], refused: [] })
  await rule('/ns/web/*')
  await rule('/ns/web/sa/front')
  await rule('/ns/web/sa/back', { clusters: ['east'] })
  await rule('/ns/batch/*', { clusters: ['east'] })
  await rule('/ns/web/sa/x', { effect: 'deny', audience: { kind: 'all' } })
  await rule('/ns/hooli/*', { audience: { kind: 'peers', relationships: ['initech'] } })
  const expiresAt = new Date(clock.now().getTime() + 1000).toISOString()
  await rule('/ns/soon/*', { expiresAt })
  const shown = [everywhere('/ns/web/*'), { path: '/ns/batch/*', clusters: ['east'] }]
  const refused = [everywhere('/ns/web/sa/x')]
  const now = await identities()
  t.same(now, { shown: [everywhere('/ns/soon/*'), ...shown], refused })
  clock.advance(1000)
  t.same(await identities(), { shown, refused }, 'what has ended is not shown')
  t.same(await identities(`${EXPORTS}?limit=1`), { shown, refused })
})

t.test('which identities of a peer count for nothing stands beside its offers', async (t) => {
  const { rule, identities } = await acme(t)
  t.same(await identities(OFFERS), { refused: [] })
  await rule('/ns/batch/*', { direction: 'import', effect: 'deny' })
  t.same(await identities(OFFERS), { refused: [everywhere('/ns/batch/*')] })
  t.same(await identities(), { shown: [], refused: [] })
})

t.test('a developer is told of patterns that identities of his namespaces can fit', async (t) => {
  const { call, rule } = await acme(t)
  for (const path of ['/ns/web/*', '/ns/we*', '/ns/webshop/*', '/ns/batch/*', '/front']) {
    await rule(path)
  }
  const grant = { label: 'web', meshId: 'acme', role: 'developer', namespaces: ['web'] }
  const { token } = (await call('POST', '/v1/api-tokens', { body: grant })).body
  const { body } = await call('GET', EXPORTS, { token })
  t.same(body.identities, { shown: [everywhere('/ns/we*')], refused: [] })
  await rule('/ns/web/sa/x', { effect: 'deny' })
  t.same((await call('GET', EXPORTS, { token })).body.identities.refused, [
    everywhere('/ns/web/sa/x'),
  ])
})

t.test('a peer that is not active meets nobody', async (t) => {
  const { rule, identities, placed } = await acme(t)
  await rule('*')
  t.same(await identities(), { shown: [everywhere('*')], refused: [] })
  await setState(placed.db, placed.meshId, 'globex', 'suspended')
  t.same(await identities(), { shown: [], refused: [] })
})
