import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FakePeer } from '../support/fake-peer.ts'
import { startTestService } from '../support/service.ts'
import { dataFolder, ran } from '../support/small-server.ts'

const GROUPS = '/meshes/acme/peer-groups'

const service = await startTestService(t)
const admin: typeof service.admin = (...call) => service.admin(...call)
await admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
await admin('POST', '/meshes', {
  meshId: 'other',
  trustDomain: 'other.example',
  bundleHost: 'other.localhost',
})
for (const name of ['globex', 'initech', 'hooli']) {
  const peer = await FakePeer.open(t, `${name}.example`)
  const bundle = Buffer.from(peer.document).toString()
  const domains = [{ trustDomain: peer.trustDomain, source: 'static', bundle }]
  const made = await admin('POST', '/meshes/acme/relationships', { name, domains })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
}

const env = { ENTENTE_DATA_DIR: service.folder, ENTENTE_MESH: 'acme' }
const entente = (...argv: readonly string[]) => ran(argv, env)
const members = (...names: string[]) => names.map((relationship) => ({ relationship }))

t.test(
  'a group is made, read, changed on its version and deleted, each in the audit log',
  async (t) => {
    const body = {
      name: 'partners',
      note: 'pilot',
      members: [...members('initech', 'globex'), { self: true }],
    }
    const dry = await admin('POST', `${GROUPS}?dryRun=true`, body)
    t.equal(dry.status, 200)
    t.equal((await admin('GET', `${GROUPS}/partners`)).status, 404)
    const made = await admin('POST', GROUPS, body)
    t.match(made, { status: 201, etag: '"v1"', body })
    t.same((await admin('GET', `${GROUPS}/partners`)).body.members, body.members, 'in their order')
    t.equal((await admin('POST', GROUPS, body)).body.code, 'ALREADY_EXISTS')
    const change = { note: null, members: members('hooli') }
    t.equal((await admin('PATCH', `${GROUPS}/partners`, change)).status, 428)
    const stale = await admin('PATCH', `${GROUPS}/partners`, change, { 'if-match': '"v7"' })
    t.equal(stale.status, 412)
    const changed = await admin('PATCH', `${GROUPS}/partners`, change, { 'if-match': '"v1"' })
    t.match(changed, { status: 200, etag: '"v2"', body: { note: null, members: members('hooli') } })
    const ended = await admin('DELETE', `${GROUPS}/partners`, undefined, { 'if-match': '"v2"' })
    t.match(ended, { status: 200, body: { name: 'partners', ended: [] } })
    t.same((await admin('GET', GROUPS)).body.items, [])
    const { db } = service.service.base.database
    const records = await db.selectFrom('audit_record').select('action').execute()
    const actions = records.map(({ action }) => action)
    for (const act of ['create', 'update', 'delete'])
      t.ok(actions.includes(`peer-group.${act}`), act)
  },
)

t.test('a change of members tells what who comes or goes gains or loses by rules', async (t) => {
  const rules = '/meshes/acme/rules'
  const port = { name: 'http', port: 80 }
  const cart = { namespace: 'shop', name: 'cart', ports: [port], identities: ['/cart'] }
  t.equal((await admin('POST', '/meshes/acme/services', cart)).status, 201)
  const friends = { name: 'friends', members: members('initech') }
  t.equal((await admin('POST', GROUPS, friends)).status, 201)
  const ids: string[] = []
  for (const rule of [
    { direction: 'export', effect: 'allow', subject: { namespace: 'shop', name: '*' } },
    { direction: 'import', effect: 'deny', subject: { identity: '/evil/*' } },
  ]) {
    const made = await admin('POST', rules, {
      ...rule,
      audience: { kind: 'peers', groups: ['friends'] },
    })
    t.equal(made.status, 201, JSON.stringify(made.body))
    ids.push(made.body.id)
  }
  const swapped = { members: members('hooli') }
  const lost = [
    { peer: 'initech', direction: 'export', items: [{ kind: 'hidden', subject: 'shop/cart' }] },
    { peer: 'hooli', direction: 'export', items: [{ kind: 'visible', subject: 'shop/cart' }] },
    {
      peer: 'initech',
      direction: 'import',
      items: [{ kind: 'allowed', subject: 'identity /evil/*' }],
    },
    {
      peer: 'hooli',
      direction: 'import',
      items: [{ kind: 'denied', subject: 'identity /evil/*' }],
    },
  ]
  const ifMatch = { 'if-match': '*' }
  const dry = await admin('PATCH', `${GROUPS}/friends?dryRun=true`, swapped, ifMatch)
  t.match(dry.body.changes, { peers: lost, complete: true })
  t.match((await admin('GET', `${GROUPS}/friends`)).body.members, members('initech'))
  const said = await entente('peer-group', 'set', 'friends', '--add', 'hooli', '--dry-run')
  t.match(said.out, /\+ to hooli: shop\/cart becomes visible/, said.err)
  t.match(said.out, /- from hooli: identity \/evil\/\* becomes denied/)
  t.notMatch(said.out, 'initech: ')
  const noted = await admin('PATCH', `${GROUPS}/friends`, { note: 'all the same' }, ifMatch)
  t.same(noted.body.changes, { peers: [], complete: true })
  const ended = await admin('DELETE', `${GROUPS}/friends?dryRun=true`, undefined, ifMatch)
  t.match(ended.body.changes.peers, [lost[0], lost[2]])
  const deleted = await entente('peer-group', 'delete', 'friends', '--dry-run')
  t.match(deleted.out, /- to initech: shop\/cart becomes hidden/, deleted.err)
  for (const id of ids) await admin('DELETE', `${rules}/${id}`, undefined, ifMatch)
  await admin('DELETE', `${GROUPS}/friends`, undefined, ifMatch)
})

t.test('a member must be a relationship of this very mesh, and stands once', async (t) => {
  const refused = await admin('POST', GROUPS, { name: 'x', members: members('globex', 'nobody') })
  t.match(refused, { status: 422, body: { code: 'PEER_GROUP_INVALID' } })
  t.match(refused.body.errors, [{ pointer: '/members/1' }])
  const foreign = await admin('POST', '/meshes/other/peer-groups', {
    name: 'x',
    members: members('globex'),
  })
  t.equal(foreign.status, 422, 'globex is a peer of acme, not of other')
  const twice = await admin('POST', GROUPS, { name: 'x', members: members('globex', 'globex') })
  t.match(twice.body.detail, 'relationship/globex is named twice')
  const unknown = { name: 'x', members: [{ relationship: 'globex', weight: 1 }] }
  t.equal((await admin('POST', GROUPS, unknown)).status, 400)
})

t.test('an entry that names a group gives its workloads the bundles of the members', async (t) => {
  const none = await admin('POST', '/meshes/acme/entries', {
    spiffeId: '/web',
    federatesWith: { group: 'partners' },
  })
  t.match(none, { status: 422, body: { code: 'ENTRY_INVALID' } }, 'the group must exist')
  const create = ['peer-group', 'create', 'partners', '--self', '--member', 'globex']
  t.equal((await entente(...create)).code, 0)
  const entry = await entente(
    'entry',
    'create',
    '--id',
    '/web',
    '--federates-with',
    'group:partners',
  )
  t.equal(entry.code, 0, entry.err)
  t.match((await entente('entry', 'list')).out, 'group:partners')
  const folder = dataFolder(t)
  const bundles = async (round: string): Promise<string[]> => {
    const [file, out] = [join(folder, `${round}.token`), join(folder, round)]
    await entente('join-token', 'create', '--id', '/web', '--token-file', file)
    const fetched = await entente('svid', 'fetch', '--token-file', file, '--out', out)
    if (fetched.code !== 0) throw new Error(fetched.err)
    return readdirSync(join(out, 'bundles')).toSorted()
  }
  t.same(await bundles('one'), ['acme.example.json', 'globex.example.json'])
  t.equal((await entente('peer-group', 'set', 'partners', '--add', 'hooli')).code, 0)
  const again = await entente('peer-group', 'set', 'partners', '--add', 'hooli', '--dry-run')
  t.match(again, { code: 2, err: /hooli is a member already[^]*--remove hooli --add hooli/ })
  t.same(
    await bundles('two'),
    ['acme.example.json', 'globex.example.json', 'hooli.example.json'],
    'a change of the members holds for the next SVID',
  )
  await entente('federation', 'terminate', 'globex')
  t.same(await bundles('three'), ['acme.example.json', 'hooli.example.json'])
})

t.test('a group that an entry names is not deleted silently', async (t) => {
  const refused = await entente('peer-group', 'delete', 'partners')
  t.equal(refused.code, 1)
  t.match(refused.err, 'is used by entry spiffe://acme.example/web')
  const dry = await entente('peer-group', 'delete', 'partners', '--dry-run')
  t.equal(dry.code, 0, dry.err)
  t.match(dry.out, /entry spiffe:\/\/acme\.example\/web +its workloads are given no peer's bundle/)
  t.equal((await entente('peer-group', 'show', 'partners')).code, 0)
  t.equal((await entente('peer-group', 'delete', 'partners', '--force')).code, 0)
  t.match((await entente('peer-group', 'list')).out, /no groups/)
})

t.test('the end of a relationship says which groups lose a member', async (t) => {
  await entente('peer-group', 'create', 'suppliers', '--member', 'initech', '--member', 'hooli')
  const dry = await entente('federation', 'terminate', 'initech', '--dry-run')
  t.match(dry.out, /peer-group suppliers +stays, without initech once that is deleted/)
  await entente('federation', 'terminate', 'initech')
  await entente('federation', 'delete', 'initech')
  t.same((await admin('GET', `${GROUPS}/suppliers`)).body.members, members('hooli'))
})

t.test('peer-group set changes what is named and nothing else', async (t) => {
  t.equal((await entente('peer-group', 'set', 'suppliers')).code, 2)
  t.equal((await entente('peer-group', 'set', 'suppliers', '--note', 'x')).code, 0)
  t.same((await admin('GET', `${GROUPS}/suppliers`)).body, {
    ...(await admin('GET', `${GROUPS}/suppliers`)).body,
    note: 'x',
    members: members('hooli'),
  })
  await entente('peer-group', 'set', 'suppliers', '--note', '', '--remove', 'hooli')
  t.match((await admin('GET', `${GROUPS}/suppliers`)).body, { note: null, members: [] })
})
