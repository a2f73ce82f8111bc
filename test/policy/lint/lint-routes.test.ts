import t, { type Test } from 'tap'
import { serviceRoutes } from '../../../src/catalog/routes.ts'
import { newId } from '../../../src/db/ids.ts'
import { createLogger } from '../../../src/http/log.ts'
import { lintRoutes } from '../../../src/policy/lint/lint-routes.ts'
import { ruleRoutes } from '../../../src/policy/change/rule-routes.ts'
import { Snapshots } from '../../../src/policy/snapshot/snapshots.ts'
import { insertEntry } from '../../../src/registry/entry-store.ts'
import { hasRegisteredPath } from '../../../src/registry/registered-path.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { adminApp } from '../../support/admin-app.ts'
import { testClock } from '../../support/clock.ts'
import { addCluster, addNetwork } from '../placed-mesh.ts'
import { addMesh, addRelationship } from '../policy-app.ts'

const CART = {
  namespace: 'shop',
  name: 'cart',
  ports: [{ name: 'http', port: 80 }],
  identities: ['/ns/shop/sa/cart'],
}
const EXPORT = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: 'shop', name: 'cart' },
  audience: { kind: 'peers', relationships: ['globex'] },
}
const IMPORT = {
  ...EXPORT,
  direction: 'import',
  audience: { kind: 'peers', relationships: ['acme'] },
}

/** Acme with `shop/cart` and globex, both in this service and known to each other. */
async function acmeAndGlobex(t: Test) {
  const clock = testClock()
  const log = createLogger({ level: 'error' }, { write: () => undefined })
  const app = await adminApp(t, {
    mount: (v1, db) => {
      const options = { db, now: clock.db, snapshots: new Snapshots({ db, log }) }
      v1.register(serviceRoutes, options)
      v1.register(ruleRoutes, options)
      v1.register(lintRoutes, { ...options, hasRegistered: hasRegisteredPath })
    },
  })
  const { db } = app.database
  const meshId = await addMesh(db, 'acme', clock.db)
  const globex = await addMesh(db, 'globex', clock.db)
  await addRelationship(db, meshId, { name: 'globex' })
  await addRelationship(db, globex, { name: 'acme' })
  await app.call('POST', '/v1/meshes/acme/services', { body: CART })
  const codes = async (token?: string): Promise<string[]> => {
    const { body } = await app.call('GET', '/v1/meshes/acme/lint', token ? { token } : {})
    return body.items.map(({ code }: { code: string }) => code)
  }
  const add = (mesh: string, body: object) => app.call('POST', `/v1/meshes/${mesh}/rules`, { body })
  return { ...app, db, clock, meshId, codes, add }
}

t.test(
  'what a mesh of this service does not import is told to who may lint there too',
  async (t) => {
    const { call, codes, add } = await acmeAndGlobex(t)
    t.equal((await add('acme', EXPORT)).status, 201)
    const body = { label: 'admin-of-acme', meshId: 'acme', role: 'mesh-admin' }
    const { token } = (await call('POST', '/v1/api-tokens', { body })).body
    t.same(await codes(), ['export.not-imported'])
    t.same(await codes(token), [], 'the rules of globex are not his to know')
    t.equal((await add('globex', IMPORT)).status, 201)
    t.same(await codes(), [])
  },
)

t.test('a rule for a cluster is told of once that is disabled', async (t) => {
  const { db, meshId, clock, codes, add } = await acmeAndGlobex(t)
  const placed = { db, meshId, now: clock.now() }
  await addNetwork(placed, 'vpc-a')
  await addCluster(placed, 'east', { networks: ['vpc-a'] })
  await add('globex', IMPORT)
  t.equal((await add('acme', { ...EXPORT, clusters: ['east'] })).status, 201)
  t.same(await codes(), [])
  await db.updateTable('cluster').set({ state: 'disabled' }).where('name', '=', 'east').execute()
  t.same(await codes(), ['rule.clusters-off'])
})

t.test('identities that no entry has are told of, once any are registered', async (t) => {
  const { db, meshId, clock, codes, add } = await acmeAndGlobex(t)
  for (const identity of ['/ns/pay/*', '/ns/p_y/sa/api', '/ns/web/sa/front', '/ns/shop/*']) {
    const { status } = await add('acme', { ...EXPORT, subject: { identity } })
    t.equal(status, 201, identity)
  }
  t.same(await codes(), [], 'others may issue them')
  await insertEntry(db, meshId, {
    id: newId(),
    meshId,
    trustDomain: parseTrustDomain('acme.example'),
    spiffeId: parseSpiffeId('spiffe://acme.example/ns/pay/sa/api'),
    x509TtlSeconds: 3600,
    jwtTtlSeconds: 300,
    dnsNames: [],
    federatesWith: [],
    hint: undefined,
    cluster: undefined,
    expiresAt: undefined,
    version: 1n,
    createdAt: clock.now(),
  })
  t.same(await codes(), ['rule.identity-unknown', 'rule.identity-unknown'])
})
