import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { FakePeer } from '../support/fake-peer.ts'
import { startTestService } from '../support/service.ts'
import { dataFolder, type Ran, ran } from '../support/small-server.ts'

t.setTimeout(180_000)

const service = await startTestService(t)
const admin: typeof service.admin = (...call) => service.admin(...call)
const peer = await FakePeer.open(t, 'globex.example')

for (const meshId of ['acme', 'other']) {
  await admin('POST', '/meshes', { meshId, trustDomain: `${meshId}.example` })
}
const bundle = Buffer.from(peer.document).toString()
const domains = [{ trustDomain: 'globex.example', source: 'static', bundle }]
await admin('POST', '/meshes/acme/relationships', { name: 'globex', domains })

/** Runs a command as somebody with one grant on acme. */
async function holder(label: string, grant: object) {
  const { body } = await admin('POST', '/api-tokens', { label, meshId: 'acme', ...grant })
  const file = join(dataFolder(t), `${label}.token`)
  writeFileSync(file, body.token, { mode: 0o600 })
  const env = {
    ENTENTE_ADDR: `unix:${join(service.folder, 'admin.sock')}`,
    ENTENTE_TOKEN_FILE: file,
  }
  return (...argv: readonly string[]): Promise<Ran> => ran(argv, env)
}

const platform = (...argv: readonly string[]) => ran(argv, { ENTENTE_DATA_DIR: service.folder })
const shop = await holder('shop', { role: 'developer', namespaces: ['shop'] })
const pay = await holder('pay', { role: 'developer', namespaces: ['pay'] })
const meshAdmin = await holder('of-acme', { role: 'mesh-admin' })
const east = await holder('east', { role: 'cluster-admin', clusters: ['default'] })

function fileOf(t: Test, ...documents: readonly (string | object)[]): string {
  const file = join(dataFolder(t), 'app.yaml')
  const text = documents.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
  writeFileSync(file, text.join('\n---\n'))
  return file
}

const serviceIn = (namespace: string, name = 'cart', labels = {}) => ({
  kind: 'Service',
  mesh: 'acme',
  namespace,
  name,
  labels,
  ports: [{ name: 'http', port: 80 }],
  identities: [`/ns/${namespace}/sa/${name}`],
})

const exportOf = (namespace: string, name = 'to-globex', more = {}) => ({
  kind: 'Rule',
  mesh: 'acme',
  name,
  direction: 'export',
  effect: 'allow',
  subject: { namespace, name: 'cart' },
  audience: { kind: 'peers', relationships: ['globex'] },
  ...more,
})

/** The namespaces of each rule of a name; '' for one of the whole mesh. */
const ownersOf = async (rule: string): Promise<string[]> => {
  const { items } = (await admin('GET', '/meshes/acme/rules')).body
  const named = items.filter(({ name }: any) => name === rule)
  return named.map(({ ownerScope }: any) => (ownerScope ?? []).join(','))
}

const servicesOf = async (): Promise<string[]> => {
  const { items } = (await admin('GET', '/meshes/acme/services')).body
  return items.map(({ namespace, name }: any) => `${namespace}/${name}`)
}

t.test('who sees no rule is not told that there is none', async (t) => {
  t.match((await platform('rule', 'list', '--mesh', 'acme')).out, /to self/)
  t.match((await shop('rule', 'list')).out, /^no rules that this token may see/)
})

t.test(
  'developers apply what is theirs, by equal names, without an effect on each other',
  async (t) => {
    const files = [
      fileOf(t, serviceIn('shop'), exportOf('shop')),
      fileOf(t, serviceIn('pay'), exportOf('pay')),
    ] as const
    const first = await shop('apply', '-f', files[0])
    t.equal(first.code, 0, first.err)
    t.equal(first.out, 'Service acme/shop/cart created\nRule acme/to-globex created\n')
    const second = await pay('apply', '-f', files[1])
    t.equal(second.out, 'Service acme/pay/cart created\nRule acme/to-globex created\n', second.err)
    t.match(await shop('diff', '-f', files[0], '--prune'), { code: 0, out: '' })
    const again = await shop('apply', '-f', files[0], '--prune')
    t.match(again.out, /^(.* unchanged\n){2}$/, again.err)
    t.same((await ownersOf('to-globex')).toSorted(), ['pay', 'shop'])
  },
)

t.test('a developer prunes what the same owner applied in the own namespaces', async (t) => {
  const platformFile = fileOf(t, exportOf('web', 'all'), serviceIn('shop', 'of-platform'))
  t.equal((await platform('apply', '-f', platformFile, '--owner', 'platform')).code, 0)
  const before = await servicesOf()
  const more = fileOf(t, serviceIn('shop'), serviceIn('shop', 'two'), exportOf('shop'))
  t.equal((await shop('apply', '-f', more)).code, 0)
  const less = fileOf(t, serviceIn('shop'))
  const drift = await shop('diff', '-f', less, '--prune')
  t.equal(drift.code, 1)
  t.match(drift.out, 'Rule acme/to-globex (in no file any more)')
  const dry = await shop('apply', '-f', less, '--prune', '--dry-run')
  t.match(dry.out, /Rule acme\/to-globex would be deleted\n.*globex: shop\/cart becomes hidden/)
  const pruned = await shop('apply', '-f', less, '--prune')
  t.equal(pruned.code, 0, pruned.err)
  t.same(await servicesOf(), before)
  const { items } = (await admin('GET', '/meshes/acme/rules')).body
  const left = items.filter(({ name }: any) => ['all', 'to-globex'].includes(name))
  const owners = left.map(({ name, ownerScope }: any) => `${name} ${ownerScope}`)
  t.same(owners.toSorted(), ['all null', 'to-globex pay'])
})

t.test('pruning ends the very rule that was applied and no other of its name', async (t) => {
  await platform('apply', '-f', fileOf(t, exportOf('shop', 'twice')), '--owner', 'whole')
  t.equal(
    (await shop('apply', '-f', fileOf(t, exportOf('shop', 'twice')), '--owner', 'git')).code,
    0,
  )
  t.same((await ownersOf('twice')).toSorted(), ['', 'shop'])
  const other = fileOf(t, { kind: 'PeerGroup', mesh: 'acme', name: 'g', members: [] })
  const pruned = await platform('apply', '-f', other, '--owner', 'git', '--prune')
  t.equal(pruned.code, 0, pruned.err)
  t.same(await ownersOf('twice'), [''])
})

t.test('a name that several namespaces gave is refused by its document', async (t) => {
  for (const [namespace, run] of [
    ['shop', shop],
    ['pay', pay],
  ] as const) {
    t.equal((await run('apply', '-f', fileOf(t, exportOf(namespace, 'both')))).code, 0)
  }
  const file = fileOf(t, serviceIn('web'), exportOf('web', 'both'))
  const refused = await platform('apply', '-f', file)
  t.match(refused, { code: 1, err: /app\.yaml document 2: several namespaces have a rule "both"/ })
  t.match(await platform('diff', '-f', file), { code: 1, out: /# cannot be applied: several/ })
})

t.test('a rule of the whole mesh is not put into one that a developer gave its name', async (t) => {
  t.equal((await shop('apply', '-f', fileOf(t, exportOf('shop', 'guard')))).code, 0)
  const deny = exportOf('shop', 'guard', { effect: 'deny' })
  for (const run of [platform, meshAdmin]) {
    const refused = await run('apply', '-f', fileOf(t, deny))
    t.match(refused, { code: 1, err: /app\.yaml: a rule of this name belongs to namespaces shop/ })
  }
  const meant = fileOf(t, { ...deny, ownerScope: ['shop'] })
  t.equal((await platform('apply', '-f', meant)).code, 0)
  t.same(await ownersOf('guard'), ['shop'], 'unless the document says whose it is')
  t.equal((await shop('apply', '-f', fileOf(t, exportOf('shop', 'guard')))).code, 0)
})

t.test(
  'what is not a developer’s is refused by its document, and nothing is changed',
  async (t) => {
    const before = await servicesOf()
    const group = { kind: 'PeerGroup', mesh: 'acme', name: 'partners', members: [] }
    await platform('apply', '-f', fileOf(t, group))
    const refused = await shop(
      'apply',
      '-f',
      fileOf(
        t,
        serviceIn('shop', 'new'),
        serviceIn('pay', 'new'),
        exportOf('pay', 'theirs'),
        exportOf('*', 'of-all'),
        group,
        { ...group, name: 'mine' },
        { kind: 'Quota', mesh: 'acme', namespace: 'shop', services: 1 },
        { ...serviceIn('shop'), mesh: 'other' },
        { kind: 'Mesh', mesh: 'acme', trustDomain: 'acme.example', displayName: 'Mine' },
      ),
    )
    t.equal(refused.code, 1)
    t.match(refused.err, 'nothing was changed, because part of it would be refused')
    for (const [document, why] of [
      [2, 'service.read needs .* on namespace pay of mesh acme'],
      [3, 'the rule reaches "pay", and your grant is good for shop only'],
      [4, 'the rule reaches "\\*"'],
      [5, 'peer-group.update in mesh acme, which .* does not have'],
      [6, 'peer-group.create needs'],
      [7, 'namespace-quota.set needs'],
      [8, 'service.read needs .* on namespace shop of mesh other'],
      [9, 'mesh.update needs'],
    ] as const) {
      t.match(refused.err, new RegExp(`app\\.yaml document ${document}: .*${why}`), why)
    }
    t.notMatch(refused.err, /document 1:/)
    t.same(await servicesOf(), before)
  },
)

t.test('a cluster-admin applies what lies in the own clusters', async (t) => {
  const spiffeId = 'spiffe://acme.example/reporter'
  const entry = { kind: 'Entry', mesh: 'acme', spiffeId, cluster: 'default' }
  const applied = await east('apply', '-f', fileOf(t, entry))
  t.equal(applied.code, 0, applied.err)
  t.match(await east('diff', '-f', fileOf(t, entry), '--prune'), { code: 0, out: '' })
  const free = { ...entry, spiffeId: `${spiffeId}/2`, cluster: undefined }
  t.match(await east('apply', '-f', fileOf(t, free)), { code: 1, err: /app\.yaml: .*default/ })
})

t.test('what was recorded by who may not end it is not pruned by who may', async (t) => {
  await admin('POST', '/meshes/acme/clusters', { name: 'west', role: 'primary' })
  const west = await holder('west', { role: 'cluster-admin', clusters: ['west'] })
  const cluster = { kind: 'Cluster', mesh: 'acme', name: 'west', role: 'primary' }
  const said = await west('apply', '-f', fileOf(t, cluster), '--owner', 'forged')
  t.equal(said.code, 0, said.err)
  const file = fileOf(t, serviceIn('web', 'alone'))
  const { code, err } = await platform('apply', '-f', file, '--owner', 'forged', '--prune')
  t.equal(code, 0, err)
  t.match(err, /Cluster acme\/west is in no file and stays, since it was applied with a token/)
  t.equal((await admin('GET', '/meshes/acme/clusters/west')).status, 200)
})

t.test('who reads a mesh and has a part of it prunes that part', async (t) => {
  await platform(
    'apply',
    '-f',
    fileOf(t, serviceIn('pay', 'gone'), serviceIn('web', 'kept')),
    '--owner',
    'both',
  )
  const both = await holder('both', { role: 'auditor' })
  const { tokenId } = JSON.parse((await both('whoami', '-o', 'json')).out)
  const grant = { tokenId, role: 'developer', meshId: 'acme', namespaces: ['pay'] }
  await admin('POST', '/grants', grant)
  const file = fileOf(t, serviceIn('pay', 'other'))
  const { code, out, err } = await both('apply', '-f', file, '--owner', 'both', '--prune')
  t.equal(code, 0, err)
  t.match(out, 'Service acme/pay/gone deleted')
  t.match(err, /Service acme\/web\/kept is in no file and stays, since this token may not end it/)
  t.ok((await servicesOf()).includes('web/kept'))
})

const quotasOf = async (): Promise<object> => {
  const { items } = (await admin('GET', '/meshes/acme/quotas')).body
  return Object.fromEntries(items.map(({ namespace, limits }: any) => [namespace ?? '', limits]))
}

t.test('quotas come from files, change whole and go with them', async (t) => {
  const ofMesh = { kind: 'Quota', mesh: 'acme', services: 50, relationships: 5 }
  const ofShop = { kind: 'Quota', mesh: 'acme', namespace: 'shop', services: 1 }
  const file = fileOf(t, ofShop, ofMesh)
  const set = await platform('apply', '-f', file, '--owner', 'quotas')
  t.equal(set.code, 0, set.err)
  t.equal(
    set.out.replaceAll(/^ .*\n/gm, ''),
    'Quota acme/mesh updated\nQuota acme/namespace/shop updated\n',
  )
  t.same(await quotasOf(), { '': { services: 50, relationships: 5 }, shop: { services: 1 } })
  t.match(await platform('diff', '-f', file, '--prune', '--owner', 'quotas'), { code: 0, out: '' })
  const other = fileOf(t, { ...ofMesh, relationships: undefined }, { ...ofShop, rules: 100 })
  const changed = await meshAdmin('apply', '-f', other, '--owner', 'quotas')
  t.match(changed, { code: 1, err: /app\.yaml document 1: quota\.set needs platform-admin/ })
  t.match((await platform('diff', '-f', other)).out, '- relationships: 5\n')
  t.equal((await platform('apply', '-f', other, '--owner', 'quotas')).code, 0)
  t.same(await quotasOf(), { '': { services: 50 }, shop: { services: 1, rules: 100 } })
  const shown = await meshAdmin('quota', 'list', '-o', 'yaml')
  t.match(await meshAdmin('diff', '-f', fileOf(t, shown.out)), { code: 0, out: '' }, shown.out)
  const pruned = await platform(
    'apply',
    '-f',
    fileOf(t, { ...ofMesh, relationships: undefined }),
    '--owner',
    'quotas',
    '--prune',
  )
  t.equal(pruned.code, 0, pruned.err)
  t.same(await quotasOf(), { '': { services: 50 } })
  await admin('PUT', '/meshes/acme/quotas/shop', { rules: 100 })
  t.match(
    (await platform('apply', '-f', fileOf(t, ofMesh), '--owner', 'quotas', '--prune')).out,
    /^Quota acme\/mesh/,
  )
  t.match(await quotasOf(), { shop: { rules: 100 } }, 'what was set by hand since stays')
})

t.test('a file that raises a quota may use it', async (t) => {
  const used = (await servicesOf()).length
  await admin('PUT', '/meshes/acme/quotas', { services: used })
  const roomier = { kind: 'Quota', mesh: 'acme', services: used + 1 }
  const more = serviceIn('roomy', 'new')
  t.match(await platform('apply', '-f', fileOf(t, more)), { code: 1, err: /quota services/ })
  const { code, err } = await platform('apply', '-f', fileOf(t, more, roomier), '--owner', 'quotas')
  t.equal(code, 0, err)
})
