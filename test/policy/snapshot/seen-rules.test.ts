import t, { type Test } from 'tap'
import { addRelationship } from '../policy-app.ts'
import { acmeInTwoNetworks } from '../resolve/resolve-app.ts'

const OFFER = {
  namespace: 'market',
  name: 'quotes',
  ports: [{ name: 'http', port: 80 }],
  identities: ['spiffe://globex.example/ns/market/sa/quotes'],
}
const IMPORT = {
  direction: 'import',
  effect: 'allow',
  subject: { namespace: 'market', name: '*' },
  audience: { kind: 'peers', relationships: ['globex'] },
}
const RULES = '/v1/meshes/acme/rules'

const exportOf = (namespace: string) => ({
  ...IMPORT,
  direction: 'export',
  subject: { namespace, name: 'x' },
})

/** An answer without what no two answers share. */
const shape = ({ status, text }: { status: number; text: string }) =>
  `${status} ${text}`.replaceAll(/"(id|revision|at|createdAt)":"[^"]+"|[0-9a-f-]{36}/g, '')

/** Acme with an offer of globex, and somebody who asks as who holds a grant. */
async function withGrants(t: Test) {
  const { call, placed } = await acmeInTwoNetworks(t)
  await addRelationship(placed.db, placed.meshId, { name: 'globex' })
  await call('POST', '/v1/meshes/acme/relationships/globex/offers', { body: OFFER })
  const as = async (grant: object) => {
    const body = { label: 'somebody', meshId: 'acme', ...grant }
    const { token } = (await call('POST', '/v1/api-tokens', { body })).body
    const headers = { 'if-match': '*' }
    return (method: string, path: string, wanted?: object) =>
      call(method, path, { token, headers, body: wanted })
  }
  return { call, as }
}

t.test('imports of others are to a developer as if they were not there', async (t) => {
  const { as } = await withGrants(t)
  const web = await as({ role: 'developer', namespaces: ['web'] })
  const pay = await as({ role: 'developer', namespaces: ['pay'] })
  const east = await as({ role: 'cluster-admin', clusters: ['east'] })
  const offers = '/v1/meshes/acme/relationships/globex/offers'
  const look = async () => [
    await web('GET', offers),
    await east('GET', offers),
    await web('GET', '/v1/meshes/acme/explain?service=market/quotes&of=globex&namespace=web'),
    await web('POST', `${RULES}?dryRun=true`, { ...IMPORT, visibleTo: ['web'] }),
    await web('POST', `${RULES}?dryRun=true`, { ...IMPORT, effect: 'deny', visibleTo: ['web'] }),
  ]
  const before = await look()
  t.ok(before.every(({ status }) => status === 200))
  const callers = { paths: ['/ns/pay/sa/ledger'] }
  const audience = { ...IMPORT.audience, callers }
  const made = await pay('POST', RULES, { ...IMPORT, audience, visibleTo: ['pay'] })
  t.equal(made.status, 201)
  t.same((await look()).map(shape), before.map(shape))
  t.match((await pay('GET', offers)).body, { items: [{ imported: true, visibleTo: ['pay'] }] })
})

t.test('a rule counts for the namespaces that own it, however it came to be theirs', async (t) => {
  const { call, as } = await withGrants(t)
  const team = await as({ role: 'developer', namespaces: ['pay', 'web'] })
  const quota = { body: { rules: 1 } }
  t.equal((await call('PUT', '/v1/meshes/acme/quotas/web', quota)).status, 200)
  const mine = (await team('POST', RULES, exportOf('web'))).body
  const kept = await team('PATCH', `${RULES}/${mine.id}`, { ownerScope: null })
  t.match(kept, { status: 200, body: { ownerScope: ['web'] } })
  const second = await team('POST', RULES, exportOf('web'))
  t.match(second, { status: 409, body: { code: 'QUOTA_EXCEEDED' } })
  const other = (await team('POST', RULES, exportOf('pay'))).body
  const moved = { subject: exportOf('web').subject, ownerScope: ['web'] }
  const refused = await team('PATCH', `${RULES}/${other.id}`, moved)
  t.match(refused, { status: 409, body: { code: 'QUOTA_EXCEEDED' } })
})
