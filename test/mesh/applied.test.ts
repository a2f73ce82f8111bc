import t from 'tap'
import { pruneApplied } from '../../src/mesh/applied.ts'
import { appliedPeerGroups, appliedRelationships } from '../../src/federation/applied-kinds.ts'
import { appliedMeshes } from '../../src/mesh/applied.ts'
import { FakePeer } from '../support/fake-peer.ts'
import { startTestService } from '../support/service.ts'

const service = await startTestService(t)
const admin: typeof service.admin = (...call) => service.admin(...call)
const { db } = service.service.base.database
const KINDS = {
  Mesh: appliedMeshes,
  Relationship: appliedRelationships,
  PeerGroup: appliedPeerGroups,
}
const [D1, D2] = ['1'.repeat(64), '2'.repeat(64)]
const AT = '/meshes/acme/applied'

await admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
const peer = await FakePeer.open(t, 'globex.example')

async function addGlobex(): Promise<void> {
  const bundle = Buffer.from(peer.document).toString()
  const domains = [{ trustDomain: peer.trustDomain, source: 'static', bundle }]
  await admin('POST', '/meshes/acme/relationships', { name: 'globex', domains })
}

async function removeGlobex(): Promise<void> {
  const at = '/meshes/acme/relationships/globex'
  await admin('POST', `${at}/terminate`, {}, { 'if-match': '*' })
  await admin('DELETE', at, undefined, { 'if-match': '*' })
}

const records = async (): Promise<number> => {
  const rows = await db
    .selectFrom('audit_record')
    .select('action')
    .where('action', 'like', 'applied.%')
    .execute()
  return rows.length
}

t.test(
  'who applied an object is recorded once, audited, listed by owner and forgotten',
  async (t) => {
    await addGlobex()
    const at = `${AT}/Relationship/globex`
    const dry = await admin('PUT', `${at}?dryRun=true`, { owner: 'team', digest: D1 })
    t.equal(dry.status, 200)
    t.same((await admin('GET', AT)).body.items, [])
    const first = await admin('PUT', at, { owner: 'team', digest: D1 })
    t.match(first, { status: 200, body: { kind: 'Relationship', name: 'globex', owner: 'team' } })
    await admin('PUT', at, { owner: 'team', digest: D1 })
    t.equal(await records(), 1, 'the same statement again writes nothing')
    await admin('PUT', at, { owner: 'team', digest: D2 })
    t.equal(await records(), 2)
    t.match((await admin('GET', `${AT}?owner=team`)).body.items, [{ name: 'globex', digest: D2 }])
    t.same((await admin('GET', `${AT}?owner=other`)).body.items, [])
    t.equal((await admin('DELETE', at)).status, 200)
    t.equal((await admin('DELETE', at)).status, 404)
  },
)

t.test('another owner is refused unless it takes the object over', async (t) => {
  const at = `${AT}/Mesh/acme`
  await admin('PUT', at, { owner: 'team', digest: D1 })
  const refused = await admin('PUT', at, { owner: 'other', digest: D1 })
  t.match(refused, { status: 409, body: { code: 'CONFLICT' } })
  t.match(refused.body.detail, 'Mesh acme was applied by owner "team"')
  t.equal((await admin('PUT', at, { owner: 'other', digest: D1, takeOver: true })).status, 200)
})

t.test('what does not exist cannot have been applied', async (t) => {
  for (const [name, said] of [
    ['Relationship/nobody', 'mesh acme has no Relationship \\"nobody\\"'],
    ['Mesh/globex', 'mesh acme has no Mesh \\"globex\\"'],
    ['Nonsense/x', 'there is no kind \\"Nonsense\\", wanted one of Mesh, Quota, Network, Cluster'],
    ['constructor/x', 'there is no kind'],
  ] as const) {
    const refused = await admin('PUT', `${AT}/${name}`, { owner: 'team', digest: D1 })
    t.equal(refused.status, 404, name)
    t.match(JSON.stringify(refused.body), said)
  }
})

t.test('an object made again by hand under the same name is nobody’s', async (t) => {
  await admin('PUT', `${AT}/Relationship/globex`, { owner: 'team', digest: D1 })
  await removeGlobex()
  await addGlobex()
  t.same((await admin('GET', `${AT}?owner=team`)).body.items, [], 'so pruning cannot touch it')
  t.equal(await pruneApplied(db, KINDS), 1, 'and the row is pruned')
  t.equal(await pruneApplied(db, KINDS), 0)
  t.match((await admin('GET', AT)).body.items, [{ kind: 'Mesh' }], 'what exists stays')
  const other = { owner: 'other', digest: D1 }
  t.equal((await admin('PUT', `${AT}/Relationship/globex`, other)).status, 200)
})

const labels = new Map<string, string>()

/** A token for some namespaces of acme, by their names. */
async function developer(namespace: string): Promise<string> {
  const known = labels.get(namespace)
  if (known !== undefined) return known
  const grant = { role: 'developer', meshId: 'acme', namespaces: [namespace] }
  const { body } = await admin('POST', '/api-tokens', { label: `dev-${namespace}`, ...grant })
  labels.set(namespace, body.token)
  return body.token
}

async function as(namespace: string, method: 'DELETE' | 'GET' | 'PUT', at: string, body?: object) {
  const authorization = `Bearer ${await developer(namespace)}`
  return admin(method, at, body, { authorization })
}

const addService = (namespace: string, name: string) => {
  const ports = [{ name: 'http', port: 80 }]
  return admin('POST', '/meshes/acme/services', { namespace, name, ports, identities: ['/x'] })
}

async function addRule(namespace: string | undefined, name: string): Promise<void> {
  const subject = { namespace: namespace ?? '*', name: '*' }
  const ownerScope = namespace === undefined ? {} : { ownerScope: [namespace] }
  const body = { name, direction: 'export', effect: 'deny', subject, audience: { kind: 'all' } }
  const made = await admin('POST', '/meshes/acme/rules', { ...body, ...ownerScope })
  if (made.status !== 201) throw new Error(made.body.detail)
}

const namesIn = ({ body }: { body: any }): string[] =>
  body.items.map(({ kind, name, owner }: any) => `${kind} ${name} ${owner}`)

t.test('a developer records, reads and forgets what lies in the own namespaces only', async (t) => {
  for (const one of ['shop', 'pay']) await addService(one, 'cart')
  const said = { owner: 'git', digest: D1 }
  await admin('PUT', `${AT}/Service/pay%2Fcart`, said)
  t.equal((await as('shop', 'PUT', `${AT}/Service/shop%2Fcart`, said)).status, 200)
  t.same(namesIn(await as('shop', 'GET', AT)), ['Service shop/cart git'])
  t.same(namesIn(await as('pay', 'GET', AT)), ['Service pay/cart git'])
  const [theirs, nobodys] = [
    await as('shop', 'PUT', `${AT}/Service/pay%2Fcart`, { ...said, takeOver: true }),
    await as('shop', 'PUT', `${AT}/Service/pay%2Fnone`, { ...said, takeOver: true }),
  ]
  t.equal(theirs.status, 404)
  t.equal(theirs.body.detail.replace('pay/cart', 'pay/none'), nobodys.body.detail)
  t.equal((await as('shop', 'DELETE', `${AT}/Service/pay%2Fcart`)).status, 404)
  t.equal((await as('shop', 'DELETE', `${AT}/Service/shop%2Fcart`)).status, 200)
  t.same(namesIn(await as('pay', 'GET', AT)), ['Service pay/cart git'])
})

t.test('a developer says nothing of kinds that are not for developers', async (t) => {
  for (const [name, action] of [
    ['Mesh/acme', 'mesh.update'],
    ['Relationship/globex', 'relationship.update'],
    ['Cluster/default', 'cluster.update'],
    ['Quota/namespace%2Fshop', 'namespace-quota.set'],
  ] as const) {
    const refused = await as('shop', 'PUT', `${AT}/${name}`, { owner: 'git', digest: D1 })
    t.match(refused, { status: 403, body: { code: 'FORBIDDEN' } }, name)
    t.match(refused.body.detail, action)
    t.equal((await as('shop', 'DELETE', `${AT}/${name}`)).status, 403)
  }
})

t.test('whom a quota limits hands it to no owner whose pruning would end it', async (t) => {
  await admin('PUT', '/meshes/acme/quotas', { services: 500 })
  await admin('PUT', '/meshes/acme/quotas/shop', { services: 50 })
  const draft = { label: 'of-acme', role: 'mesh-admin', meshId: 'acme' }
  const { body } = await admin('POST', '/api-tokens', draft)
  const headers = { authorization: `Bearer ${body.token}` }
  const said = { owner: 'platform', digest: D1, takeOver: true }
  const refused = await admin('PUT', `${AT}/Quota/mesh`, said, headers)
  t.match(refused, { status: 403, body: { code: 'FORBIDDEN', detail: /needs quota\.set in mesh/ } })
  t.equal((await admin('PUT', `${AT}/Quota/mesh`, said)).status, 200)
  t.equal((await admin('DELETE', `${AT}/Quota/mesh`, undefined, headers)).status, 403)
  const ofNamespace = `${AT}/Quota/namespace%2Fshop`
  t.equal((await admin('PUT', ofNamespace, said, headers)).status, 200, 'the own ones are its own')
  for (const at of [`${AT}/Quota/mesh`, ofNamespace]) await admin('DELETE', at)
})

t.test('a record of who could not end an object has it pruned by nobody', async (t) => {
  const clusters = ['default']
  const draft = { label: 'of-default', role: 'cluster-admin', meshId: 'acme', clusters }
  const { token } = (await admin('POST', '/api-tokens', draft)).body
  const record = async (owner: string, headers?: Record<string, string>) => {
    const said = { owner, digest: D1, takeOver: true }
    const { status, body } = await admin('PUT', `${AT}/Cluster/default`, said, headers)
    return [status, body.owner, body.prunable]
  }
  const headers = { authorization: `Bearer ${token}` }
  t.same(await record('platform', headers), [200, 'platform', false])
  t.same(await record('platform'), [200, 'platform', true], 'who may end it says so too')
  t.same(await record('platform', headers), [200, 'platform', true], 'and that stays')
  t.same(await record('east', headers), [200, 'east', false], 'for another owner it counts anew')
  await admin('DELETE', `${AT}/Cluster/default`)
})

t.test('a record is of a name as it is written, so rows of others do not pile up', async (t) => {
  await addService('shop', 'written')
  const more = `${AT}/Service/shop%2Fwritten%2Fmore`
  t.equal((await admin('PUT', more, { owner: 'git', digest: D1 })).status, 404)
})

t.test('rules of one name are recorded each for its owner', async (t) => {
  for (const one of ['shop', 'pay']) await addRule(one, 'same')
  const at = `${AT}/Rule/same`
  t.equal((await as('shop', 'PUT', at, { owner: 'shop-git', digest: D1 })).status, 200)
  t.equal((await as('pay', 'PUT', at, { owner: 'pay-git', digest: D2 })).status, 200)
  t.same(namesIn(await as('shop', 'GET', AT)), ['Rule same shop-git'])
  t.match(await admin('PUT', at, { owner: 'team', digest: D1 }), { status: 409 })
  await addRule(undefined, 'same')
  t.equal((await admin('PUT', at, { owner: 'team', digest: D1 })).status, 200, 'the mesh’s')
  const all = (await admin('GET', AT)).body.items.filter(({ name }: any) => name === 'same')
  t.same(all.map(({ owner }: any) => owner).toSorted(), ['pay-git', 'shop-git', 'team'])
  t.equal((await as('pay', 'DELETE', at)).body.owner, 'pay-git')
  t.equal((await admin('DELETE', at)).body.owner, 'team')
  t.same(namesIn(await as('shop', 'GET', AT)), ['Rule same shop-git'])
})

t.test(
  'pages of a developer are full, and their cursors name what is the developer’s',
  async (t) => {
    for (const one of ['a', 'b', 'c']) {
      for (const namespace of ['shop', 'pay']) {
        await addService(namespace, one)
        await admin('PUT', `${AT}/Service/${namespace}%2F${one}`, { owner: 'git', digest: D1 })
      }
    }
    const first = await as('shop', 'GET', `${AT}?limit=2`)
    t.equal(first.body.items.length, 2)
    const cursor = Buffer.from(first.body.nextCursor, 'base64url').toString()
    t.match(cursor, /^\["(Rule","same|Service","shop)/)
    const second = await as('shop', 'GET', `${AT}?limit=2&cursor=${first.body.nextCursor}`)
    const third = [...first.body.items, ...second.body.items].map(({ name }: any) => name)
    t.same(third, ['same', 'shop/a', 'shop/b', 'shop/c'])
    t.equal(second.body.nextCursor, null)
  },
)

t.test('who may read the mesh reads who applied all of it, and says nothing', async (t) => {
  const { body } = await admin('POST', '/api-tokens', {
    label: 'reader',
    role: 'auditor',
    meshId: 'acme',
  })
  const headers = { authorization: `Bearer ${body.token}` }
  const seen = await admin('GET', AT, undefined, headers)
  t.same(seen.body.items, (await admin('GET', AT)).body.items)
  const said = { owner: 'git', digest: D1 }
  t.equal((await admin('PUT', `${AT}/Service/shop%2Fa`, said, headers)).status, 403)
})
