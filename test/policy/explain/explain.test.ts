import { createHash, X509Certificate } from 'node:crypto'
import t from 'tap'
import { createLogger } from '../../../src/http/log.ts'
import { serviceRoutes } from '../../../src/catalog/routes.ts'
import { explainRoutes } from '../../../src/policy/explain/explain-routes.ts'
import { explain, questionOf } from '../../../src/policy/explain/explain.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { ruleRoutes } from '../../../src/policy/change/rule-routes.ts'
import { Snapshots } from '../../../src/policy/snapshot/snapshots.ts'
import { type FederationApp, federationApp } from '../../federation/federation-app.ts'
import { behave, FakePeer } from '../../support/fake-peer.ts'
import { AT, smallMesh } from '../coverage/small-mesh.ts'
import { addRelationship } from '../policy-app.ts'
import { acmeInTwoNetworks } from '../resolve/resolve-app.ts'

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
  audience: { kind: 'peers', relationships: ['globex'], callers: { paths: ['/web', '/ns/a/*'] } },
}
const BY_WEB = { caller: 'spiffe://globex.example/web' }

/** Acme federated with a real endpoint of globex, and shop/cart exported to it. */
async function exported(t: Parameters<typeof federationApp>[0]) {
  const log = createLogger({ level: 'error' }, { write: () => undefined })
  const app = await federationApp(t, {
    mount: (v1, { database, clock, relationshipRoutes }) => {
      const { db } = database
      const options = { db, now: clock.db, snapshots: new Snapshots({ db, log }) }
      v1.register(serviceRoutes, options)
      v1.register(ruleRoutes, options)
      v1.register(explainRoutes, { ...relationshipRoutes, ...options })
    },
  })
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.call('POST', '/meshes/acme/services', { body: CART })
  await app.call('POST', '/meshes/acme/rules', { body: EXPORT })
  return { app, peer }
}

async function explained(app: Pick<FederationApp, 'call'>, query: Record<string, string>) {
  const search = new URLSearchParams({ service: 'shop/cart', ...query })
  const { body } = await app.call('GET', `/meshes/acme/explain?${search.toString()}`)
  return body
}

// oxlint-disable-next-line typescript/no-explicit-any -- the body of an answer
function stepOf(body: any, step: string) {
  return body.steps.find((one: { step: string }) => one.step === step)
}

t.test(
  'a call is explained with consent, the bundle that authenticates it, and the identities',
  async (t) => {
    const { app } = await exported(t)
    await app.poll()
    const body = await explained(app, BY_WEB)
    t.equal(body.decision, 'allow')
    t.strictSame(
      body.steps.map(
        ({ step, outcome }: { step: string; outcome: string }) => `${step} ${outcome}`,
      ),
      [
        'relationship allow',
        'bundle allow',
        'subject allow',
        'identity unknown',
        'exportRule allow',
        'importRule unknown',
        'tenancy allow',
        'identities allow',
      ],
    )
    const since =
      /^relationship globex is active since \d{4}-\S+Z; consent: ours given, theirs assumed, one-way$/
    t.match(stepOf(body, 'relationship').reason, since)
    t.match(
      stepOf(body, 'bundle').reason,
      /^bundle of globex\.example, sequence 1, received \S+Z, confirmed 0 s ago \(https_spiffe\), 1 X\.509 authority, healthy$/,
    )
    t.equal(
      stepOf(body, 'identities').reason,
      'served by spiffe://acme.example/ns/shop/sa/cart; callers of globex that no rule denies: /web, /ns/a/*',
    )
    const visible = await explained(app, { to: 'globex' })
    t.equal(stepOf(visible, 'bundle'), undefined, 'to be seen needs no key')
  },
)

t.test('a failing peer still authenticates, and the chain says so', async (t) => {
  const { app, peer } = await exported(t)
  await app.poll()
  peer.behaviour = behave.answer(500)
  await app.pollLater(300)
  const body = await explained(app, BY_WEB)
  t.equal(body.decision, 'allow')
  t.match(stepOf(body, 'bundle').reason, /confirmed \d+ (s|min) ago .* failing: .*500/)
})

t.test('without a bundle that counts no call succeeds, whatever rules say', async (t) => {
  const { app } = await exported(t)
  const pending = await explained(app, BY_WEB)
  t.match(pending, { decision: 'deny', next: ['entente federation show globex'] })
  t.match(
    stepOf(pending, 'bundle').reason,
    'no bundle of globex.example counts while globex is pending',
  )
  await app.poll()
  const later = await explained(app, { ...BY_WEB, at: '2101-01-01T00:00:00Z' })
  t.equal(later.decision, 'deny')
  t.match(stepOf(later, 'bundle'), { outcome: 'deny', reason: /authenticates nobody: .* expired/ })
  t.match(later.next, [/bundle set|federation/])
  const globex = '/meshes/acme/relationships/globex'
  const { headers } = await app.call('GET', globex)
  const suspend = { body: { reason: 'drill' }, ifMatch: String(headers['etag']) }
  t.equal((await app.call('POST', `${globex}/suspend`, suspend)).status, 200)
  const suspended = await explained(app, BY_WEB)
  t.match(stepOf(suspended, 'bundle').reason, 'while globex is suspended')
})

t.test('a bundle whose only key is distrusted authenticates nobody', async (t) => {
  const { app, peer } = await exported(t)
  await app.poll()
  const key = new X509Certificate(peer.root.der).publicKey.export({ format: 'der', type: 'spki' })
  const publicKeySha256 = createHash('sha256').update(key).digest('hex')
  await app.call('POST', '/meshes/acme/distrusted-keys', { body: { publicKeySha256 } })
  const body = await explained(app, BY_WEB)
  t.equal(body.decision, 'deny')
  t.match(stepOf(body, 'bundle').reason, /sequence 1.*authenticates nobody: .*distrusted/)
  t.match(body.next, [/distrust lift/])
})

t.test('a mesh tells its own callers whether there is a way, which decides nothing', async (t) => {
  const { call } = await acmeInTwoNetworks(t)
  const ask = async (query: Record<string, string>) => {
    const caller = 'spiffe://acme.example/ns/web/sa/front'
    const search = new URLSearchParams({ service: 'shop/cart', caller, ...query })
    return call('GET', `/v1/meshes/acme/explain?${search.toString()}`)
  }
  const near = await ask({ network: 'vpc-a' })
  t.equal(stepOf(near.body, 'route').reason, '1 address and 1 gateway')
  const none = await ask({ network: 'default' })
  t.match(none.body, { decision: 'allow' })
  t.match(stepOf(none.body, 'route'), {
    outcome: 'allow',
    reason: /1 gateway; not reached: network vpc-a has no gateway/,
  })
  const open = await ask({})
  t.match(stepOf(open.body, 'route'), { outcome: 'unknown', reason: /default, vpc-a, vpc-b/ })
  t.equal((await ask({ network: 'vpc-z' })).status, 400)
})

t.test(
  'what another service has the name of is not seen, and the rule that gives it twice is named',
  (t) => {
    const subject = { namespace: 'shop', name: '*' }
    const both: RuleDraft = {
      direction: 'import',
      effect: 'allow',
      subject: { ...subject, namespace: 'a' },
      audience: { kind: 'peers', relationships: ['globex'] },
      as: { namespace: 'shop' },
    }
    const rules = [both, { ...both, subject: { ...subject, namespace: 'b' } }]
    const mesh = smallMesh({ offers: { globex: ['a/cart', 'b/cart', 'b/pay'] }, rules })
    const ask = (service: string) => explain(mesh, questionOf({ service, of: 'globex' }, AT))
    t.equal(ask('a/cart').decision, 'allow')
    t.equal(ask('b/pay').decision, 'allow')
    const clash = ask('b/cart')
    t.match(clash, { decision: 'deny', next: [/^entente rule show rule-1/] })
    t.match(
      stepOf(clash, 'name').reason,
      /shop\/cart is the name of a\/cart already, by rule rule-0/,
    )
    t.end()
  },
)

t.test('a developer has his own services explained, and what his own callers may do', async (t) => {
  const { call, placed } = await acmeInTwoNetworks(t)
  await addRelationship(placed.db, placed.meshId, { name: 'globex' })
  const body = { label: 'web', role: 'developer', meshId: 'acme', namespaces: ['web'] }
  const made = await call('POST', '/v1/api-tokens', { body })
  const ask = async (query: Record<string, string>) => {
    const headers = { authorization: `Bearer ${made.body.token}` }
    const search = new URLSearchParams(query).toString()
    return (await call('GET', `/v1/meshes/acme/explain?${search}`, { headers })).status
  }
  const of = 'globex'
  t.equal(await ask({ service: 'web/front', to: 'globex' }), 200)
  t.equal(await ask({ service: 'shop/cart', to: 'globex' }), 403)
  t.equal(await ask({ service: 'shop/cart', caller: 'spiffe://acme.example/ns/web/sa/x' }), 403)
  t.equal(await ask({ service: 'a/b', of, caller: 'spiffe://acme.example/ns/web/sa/x' }), 200)
  t.equal(await ask({ service: 'a/b', of, namespace: 'web' }), 200)
  for (const query of [
    {},
    { namespace: 'shop' },
    { caller: 'spiffe://acme.example/ns/shop/sa/x' },
    { caller: 'spiffe://acme.example/ns/shop/sa/x', namespace: 'web' },
    { caller: 'spiffe://acme.example/web', namespace: 'web' },
  ]) {
    t.equal(await ask({ service: 'a/b', of, ...query }), 403, JSON.stringify(query))
  }
})
