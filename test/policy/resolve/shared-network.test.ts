import t, { type Test } from 'tap'
import { parseEndpointUrl } from '../../../src/spiffe/endpoint-profile.ts'
import { addCluster, addEndpoint, addNetwork, type Placed } from '../placed-mesh.ts'
import { addMesh, addRelationship, setState } from '../policy-app.ts'
import { acmeInTwoNetworks } from './resolve-app.ts'

const CART = { namespace: 'shop', name: 'cart' }
const GATEWAY = 'gw.globex.example'
const POD = '10.9.0.7'
const OUR_WEB = 'spiffe://acme.example/ns/web/sa/front'

/**
 * Acme and globex in one service, each with a `shop/cart` of its own: acme imports globex's, globex (which calls acme
 * `customer`) exports it. Globex's only endpoint is in its network `dc`; acme's `vpc-a` and `dc` are both `campus`.
 */
async function acmeBesideGlobex(t: Test) {
  const app = await acmeInTwoNetworks(t)
  const { db } = app.placed
  const meshId = await addMesh(db, 'globex', app.clock.db)
  const globex: Placed = { db, meshId, now: app.clock.now() }
  await addNetwork(globex, 'dc')
  await addCluster(globex, 'g1', { networks: ['dc'] })
  const make = async (path: string, body: object): Promise<{ id: string }> => {
    const made = await app.call('POST', `/v1/meshes/${path}`, { body })
    if (made.status !== 201) throw new Error(made.text)
    return made.body
  }
  await addRelationship(db, app.placed.meshId, { name: 'globex' })
  await addRelationship(db, meshId, { name: 'customer', domain: 'acme.example' })
  await db.updateTable('relationship_domain').set({ source: 'local', endpoint_url: null }).execute()
  const http = { name: 'http', port: 80 }
  const served = { ...CART, ports: [http], identities: ['/ns/shop/sa/cart'] }
  await make('globex/services', served)
  await addEndpoint(globex, { cluster: 'g1', network: 'dc', address: POD })
  const gateways = [{ address: GATEWAY, port: 15_443 }]
  await make('acme/relationships/globex/offers', { ...served, gateways })
  const rule = { effect: 'allow', subject: CART }
  const from = { kind: 'peers', relationships: ['globex'] }
  await make('acme/rules', { ...rule, direction: 'import', audience: from })
  const identities = { effect: 'allow', direction: 'export', subject: { identity: '*' } }
  await make('acme/rules', { ...identities, audience: from })
  const to = { kind: 'peers', relationships: ['customer'] }
  const exportIt = (more: object = {}) =>
    make('globex/rules', { ...rule, direction: 'export', audience: to, ...more })
  const drop = ({ id }: { id: string }) =>
    app.call('DELETE', `/v1/meshes/globex/rules/${id}`, { headers: { 'if-match': '*' } })
  const share = (mesh: string, name: string, shared: string | null, open = true) =>
    db
      .updateTable('network')
      .set({ shared_name: shared, directly_reachable: open })
      .where('mesh_id', '=', mesh === 'acme' ? app.placed.meshId : meshId)
      .where('name', '=', name)
      .execute()
  await share('acme', 'vpc-a', 'campus')
  await share('globex', 'dc', 'campus')
  /** The addresses that the answer names. */
  const ways = async (query: Record<string, string> = { network: 'vpc-a' }): Promise<string[]> => {
    const { body, text } = await app.resolve({ of: 'globex', ...query })
    if (body.route === null || body.route === undefined) throw new Error(text)
    return body.route.groups.flatMap(({ targets }: { targets: { address: string }[] }) =>
      targets.map(({ address }) => address),
    )
  }
  return { ...app, globex, exportIt, drop, share, ways, to }
}

t.test(
  '15 a peer’s endpoints in a network that both meshes share are given by their addresses',
  async (t) => {
    const { resolve, exportIt, ways, call } = await acmeBesideGlobex(t)
    await exportIt()
    const { body } = await resolve({ of: 'globex', network: 'vpc-a' })
    t.match(body.route, {
      serverIds: ['spiffe://globex.example/ns/shop/sa/cart'],
      groups: [{ targets: [{ address: POD, port: 8080, viaGateway: null, sni: null }] }],
    })
    t.match(body.route.groups[0].targets[0], { network: 'vpc-a', cluster: null }, 'in our words')
    t.equal(body.route.groups[0].targets.length, 1, 'and no gateway beside it')
    t.same(await ways({ network: 'vpc-b' }), [GATEWAY], 'from another network by the gateways')
    t.same(await ways({ network: 'vpc-a', caller: OUR_WEB }), [POD])
    const explained = await call(
      'GET',
      `/v1/meshes/acme/explain?service=shop/cart&of=globex&network=vpc-a`,
    )
    t.match(JSON.stringify(explained.body), /"1 address"/)
  },
)

t.test('without the word of both meshes no address of a workload is told', async (t) => {
  const { exportIt, drop, share, ways, globex, placed, clock, to } = await acmeBesideGlobex(t)
  t.same(await ways(), [GATEWAY], 'an offer written by hand is no word of the peer')
  const rule = await exportIt()
  t.same(await ways(), [POD])

  for (const [mesh, name, shared, open] of [
    ['acme', 'vpc-a', null],
    ['globex', 'dc', null],
    ['globex', 'dc', 'elsewhere'],
    ['acme', 'vpc-a', 'campus', false],
    ['globex', 'dc', 'campus', false],
  ] as const) {
    await share(mesh, name, shared, open)
    t.same(await ways(), [GATEWAY], `${mesh} says ${shared}, addresses open: ${open ?? true}`)
    await share(mesh, name, 'campus')
  }
  t.same(await ways(), [POD])

  await setState(globex.db, globex.meshId, 'customer', 'suspended')
  t.same(await ways(), [GATEWAY], 'the peer has suspended us')
  await setState(globex.db, globex.meshId, 'customer', 'active')
  const source = (name: 'local' | 'https_web') =>
    placed.db
      .updateTable('relationship_domain')
      .set({
        source: name,
        endpoint_url: name === 'local' ? null : parseEndpointUrl('https://g.example/b'),
      })
      .where('mesh_id', '=', placed.meshId)
      .execute()
  await source('https_web')
  t.same(await ways(), [GATEWAY], 'we take it for a mesh elsewhere')
  await source('local')
  t.same(await ways(), [POD])

  await drop(rule)
  t.same(await ways(), [GATEWAY], 'nothing is exported any more')
  for (const more of [
    { audience: { ...to, callers: { paths: ['/ns/batch/*'] } } },
    { as: { name: 'basket' } },
  ]) {
    const other = await exportIt(more)
    t.same(await ways({ network: 'vpc-a', caller: OUR_WEB }), [GATEWAY], JSON.stringify(more))
    await drop(other)
  }

  const ended = await exportIt({ expiresAt: new Date(clock.now().getTime() + 1000).toISOString() })
  t.same(await ways(), [POD])
  await clock.advance(2000)
  const then = new Date(clock.now().getTime() - 1500).toISOString()
  t.same(
    await ways({ network: 'vpc-a', at: then }),
    [GATEWAY],
    'what was allowed tells nothing now',
  )
  await drop(ended)

  await exportIt()
  t.same(await ways(), [POD])
  await globex.db
    .updateTable('endpoint_reporter')
    .set({ seen_at: new Date(clock.now().getTime() - 3_600_000) })
    .where('mesh_id', '=', globex.meshId)
    .execute()
  t.same(await ways(), [GATEWAY], 'where no address lives the gateways stay')
})
