import t from 'tap'
import { type AdminApp } from '../../support/admin-app.ts'
import { addEndpoint } from '../placed-mesh.ts'
import { addMesh, addRelationship } from '../policy-app.ts'
import { acmeInTwoNetworks } from './resolve-app.ts'

/** Deletes every rule, the seeded ones too. */
const forgetRules = async (call: AdminApp['call']) => {
  const { body: rules } = await call('GET', '/v1/meshes/acme/rules')
  for (const { id, version } of rules.items) {
    await call('DELETE', `/v1/meshes/acme/rules/${id}`, {
      headers: { 'if-match': `"v${version}"` },
    })
  }
}

t.test('the answer depends on the network of who asks', async (t) => {
  const { resolve } = await acmeInTwoNetworks(t)
  const near = await resolve({ network: 'vpc-a' })
  t.equal(near.status, 200)
  t.match(near.body, {
    service: 'shop/cart',
    of: null,
    decision: 'allow',
    question: 'visibility',
    consumer: { network: 'vpc-a', cluster: null, namespace: null, caller: null },
    route: {
      hostname: null,
      serverIds: ['spiffe://acme.example/ns/shop/sa/cart'],
      noRoute: null,
      unreached: [],
      groups: [
        {
          tier: 1,
          targets: [
            { address: '10.0.0.5', network: 'vpc-a', viaGateway: null, sni: null },
            {
              address: '203.0.113.1',
              network: 'vpc-b',
              viaGateway: 'gw-b',
              sni: 'outbound_.80_._.cart.shop.svc.cluster.local',
            },
          ],
        },
      ],
    },
  })
  const far = await resolve({ cluster: 'west' })
  t.match(far.body, {
    consumer: { network: 'vpc-b', cluster: 'west', locality: { region: 'us' } },
    route: {
      groups: [{ kind: 'same-region', targets: [{ address: '10.0.0.5', cluster: 'west' }] }],
      unreached: [{ network: 'vpc-a', endpoints: 1, reason: 'network vpc-a has no gateway' }],
    },
  })
})

t.test('a consumer that cannot be is refused with what there is', async (t) => {
  const { resolve } = await acmeInTwoNetworks(t)
  const refused = async (query: Record<string, string>) => {
    const { status, body } = await resolve(query)
    t.equal(status, 400)
    return body.detail
  }
  t.match(await refused({}), 'the mesh has default, vpc-a, vpc-b')
  t.match(await refused({ cluster: 'both' }), 'cluster both is in vpc-a, vpc-b')
  t.match(await refused({ cluster: 'east', network: 'vpc-b' }), 'in vpc-a and not in vpc-b')
  t.match(await refused({ network: 'vpc-c' }), 'no network "vpc-c"')
  t.match(await refused({ cluster: 'north' }), 'no cluster "north"; there is both, default, east')
  t.match(await refused({ network: 'vpc-a', zone: 'eu-1' }), 'name the region too')
  t.match(await refused({ network: 'vpc-a', region: 'eu', subzone: 'x' }), 'name the zone too')
  t.match(await refused({ network: 'vpc-a', port: 'smtp' }), 'it has http (80), grpc (9000)')
  const caller = 'spiffe://globex.example/ns/web/sa/front'
  t.match(await refused({ network: 'vpc-a', caller }), 'is no identity of mesh acme')
  t.match(await refused({ network: 'vpc-a', service: 'cart' }), 'wanted namespace/name')
})

t.test('one port may be asked about, by name or number', async (t) => {
  const { resolve } = await acmeInTwoNetworks(t)
  for (const port of ['http', '80']) {
    const { body } = await resolve({ network: 'vpc-a', port })
    t.same(body.route.ports, [{ name: 'http', port: 80 }])
    t.equal(body.route.groups[0].targets.length, 2)
  }
  const grpc = await resolve({ network: 'vpc-a', port: '9000' })
  t.match(grpc.body.route, { groups: [], noRoute: /no cluster reports an endpoint of shop\/cart/ })
})

t.test('who may not see a service learns nothing of where it is', async (t) => {
  const { resolve, call } = await acmeInTwoNetworks(t)
  await forgetRules(call)
  const { body, headers } = await resolve({ network: 'vpc-a' })
  t.match(body, { decision: 'deny', route: null })
  t.match(body.next, [/entente rule export shop\/cart/])
  t.notMatch(JSON.stringify(body), /10\.0\.0\.5|203\.0\.113|gw-b|serverIds|9000/)
  const unknown = await resolve({ network: 'vpc-a', service: 'shop/none' })
  t.match(unknown.body, { decision: 'deny', route: null })
  t.ok(headers.get('etag'))
})

t.test('a gateway that is not heard of is to be heard again, not made anew', async (t) => {
  const { resolve, placed } = await acmeInTwoNetworks(t)
  await placed.db
    .updateTable('gateway')
    .set({ heartbeat_seconds: 60 })
    .where('name', '=', 'gw-b')
    .execute()
  const { body } = await resolve({ network: 'vpc-a' })
  t.match(body.route.unreached, [{ network: 'vpc-b', reason: /gw-b is not heard/ }])
  t.same(body.next, ['entente gateway list', 'entente gateway heartbeat gw-b'])
})

t.test(
  'a way that is missing comes with what would open it, and answers are counted',
  async (t) => {
    const { resolve, metrics } = await acmeInTwoNetworks(t)
    const part = await resolve({ network: 'vpc-b' })
    t.same(part.body.next, [
      'entente gateway list',
      'entente gateway create NAME --network vpc-a --address ADDRESS --port 15443',
    ])
    const none = await resolve({ network: 'vpc-a', port: 'grpc' })
    t.same(none.body.next, ['entente service endpoints shop/cart'])
    t.same((await resolve({ network: 'vpc-a' })).body.next, [])
    await resolve({ network: 'vpc-a', service: 'shop/none' })
    const { values } = await metrics.resolutions.get()
    t.same(
      values.map(({ labels, value }) => [labels.listener, labels.outcome, value]),
      [
        ['admin', 'routed', 2],
        ['admin', 'no-route', 1],
        ['admin', 'deny', 1],
      ],
    )
  },
)

t.test('an entity tag lasts as long as the answer', async (t) => {
  const { resolve, placed, clock } = await acmeInTwoNetworks(t)
  const first = await resolve({ network: 'vpc-a' })
  const etag = String(first.headers.get('etag'))
  t.match(etag, /^W\/"[0-9a-f]{32}"$/)
  clock.advance(1000)
  const same = await resolve({ network: 'vpc-a' }, { 'if-none-match': `"other", ${etag}` })
  t.same([same.status, same.text], [304, ''])
  await addEndpoint(placed, { cluster: 'east', network: 'vpc-a', address: '10.0.0.6' })
  const other = await resolve({ network: 'vpc-a' }, { 'if-none-match': etag })
  t.equal(other.status, 200)
  t.not(other.headers.get('etag'), etag)
})

t.test('what no reporter was heard of any more is no way', async (t) => {
  const { resolve, clock } = await acmeInTwoNetworks(t)
  clock.advance(60_001)
  const { body } = await resolve({ network: 'vpc-a' })
  t.match(body, {
    decision: 'allow',
    route: { groups: [], noRoute: /no endpoint of shop\/cart, .* is alive: 2 stale/ },
  })
})

t.test('a peer’s service is reached by the gateways of its offer', async (t) => {
  const { resolve, call, placed } = await acmeInTwoNetworks(t)
  await addRelationship(placed.db, placed.meshId, { name: 'globex' })
  const gateways = [{ address: 'gw.globex.example', port: 15_443, region: 'eu', weight: 3 }]
  await call('POST', '/v1/meshes/acme/relationships/globex/offers', {
    body: {
      namespace: 'market',
      name: 'quotes',
      ports: [{ name: 'http', port: 8080 }],
      identities: ['/ns/market/sa/quotes'],
      gateways,
    },
  })
  const query = { service: 'market/quotes', of: 'globex', cluster: 'east' }
  t.match((await resolve(query)).body, { decision: 'deny', route: null })
  await call('POST', '/v1/meshes/acme/rules', {
    body: {
      direction: 'import',
      effect: 'allow',
      subject: { namespace: 'market', name: 'quotes' },
      audience: { kind: 'peers', relationships: ['globex'] },
    },
  })
  t.match((await resolve(query)).body, {
    decision: 'allow',
    of: 'globex',
    undecided: ['globex'],
    route: {
      hostname: /^quotes\.market\.svc\.globex\./,
      serverIds: ['spiffe://globex.example/ns/market/sa/quotes'],
      groups: [
        {
          kind: 'same-region',
          targets: [
            {
              address: 'gw.globex.example',
              viaGateway: 'gw.globex.example:15443',
              sni: 'outbound_.8080_._.quotes.market.svc.cluster.local',
              network: null,
              weight: 3,
            },
          ],
        },
      ],
    },
  })
})

t.test(
  'whoever has a namespace asks for its services, and in the name of its workloads',
  async (t) => {
    const { call, resolve } = await acmeInTwoNetworks(t)
    const body = { label: 'web-team', role: 'developer', meshId: 'acme', namespaces: ['web'] }
    const made = await call('POST', '/v1/api-tokens', { body })
    t.equal(made.status, 201, made.text)
    const ask = (query: Record<string, string>) =>
      resolve(
        { network: 'vpc-a', ...query },
        {
          authorization: `Bearer ${made.body.token}`,
        },
      )
    t.match((await ask({})).body, { status: 403, code: 'FORBIDDEN' })
    t.match((await ask({ namespace: 'web' })).body, { status: 403 }, 'others’ callers may see more')
    const caller = 'spiffe://acme.example/ns/web/sa/front'
    const own = await ask({ caller })
    t.match(own.body, { decision: 'allow', question: 'call', route: { noRoute: null } })
    t.same(own.body.steps, [], 'rules about others’ services are the affair of their owners')
    const none = await ask({ caller, service: 'shop/none' })
    t.match(none.body, { status: 403, code: 'FORBIDDEN' }, 'as if one did not ask for a workload')
    t.match((await ask({ caller: 'spiffe://acme.example/ns/shop/sa/x' })).body, { status: 403 })
    t.match((await ask({ caller, namespace: 'shop' })).body, { status: 400 })
    const nowhere = { caller: 'spiffe://acme.example/billing', namespace: 'web' }
    t.match((await ask(nowhere)).body, { status: 403 }, 'a caller in no namespace is nobody’s')
    const port = await ask({ caller, port: 'smtp' })
    t.match(port.body, { status: 403 }, 'nor is told which ports others have')
    const ahead = await ask({ caller, at: '2030-01-01T00:00:00Z' })
    t.match(ahead.body, { status: 403 }, 'nor when their rules end')
    t.match((await ask({ service: 'web/front' })).body, { decision: 'deny' })
  },
)

t.test('rules may open one port, or one cluster, and the answer keeps to it', async (t) => {
  const { resolve, call } = await acmeInTwoNetworks(t)
  await forgetRules(call)
  const subject = { namespace: 'shop', name: 'cart', ports: ['http'] }
  const audience = { kind: 'self' }
  const rule = { direction: 'export', effect: 'allow', subject, audience, clusters: ['west'] }
  const made = await call('POST', '/v1/meshes/acme/rules', { body: rule })
  t.equal(made.status, 201, made.text)
  t.match((await resolve({ cluster: 'east' })).body, { decision: 'deny', route: null })
  const { body } = await resolve({ cluster: 'west' })
  t.same(body.route.ports, [{ name: 'http', port: 80 }])
  const grpc = await resolve({ cluster: 'west', port: 'grpc' })
  t.match(grpc.body, { decision: 'deny', route: null })
  t.match((await resolve({ cluster: 'west', port: '80' })).body, { decision: 'allow' })
})

t.test('the ways of one mesh are nobody else’s', async (t) => {
  const { call, database, clock } = await acmeInTwoNetworks(t)
  await addMesh(database.db, 'globex', clock.db)
  const { body } = await call('GET', '/v1/meshes/globex/resolve?service=shop/cart')
  t.match(body, { decision: 'deny', route: null, consumer: { network: 'default' } })
  const other = await call('GET', '/v1/meshes/globex/resolve?service=shop/cart&network=vpc-a')
  t.match(other.body.detail, 'there is no network "vpc-a"; there is default')
})
