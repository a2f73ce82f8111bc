import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { FakeAuthority, FakePeer } from '../support/fake-peer.ts'
import { startTestService } from '../support/service.ts'
import { dataFolder, type Ran, ran } from '../support/small-server.ts'

t.setTimeout(180_000)

const MESHES = `kind: Mesh
mesh: acme
trustDomain: acme.example
environment: production
settings:
  hintSeconds: 120
---
kind: Mesh
mesh: globex
trustDomain: globex.example
bundleHost: globex.localhost
`

const service = await startTestService(t)
const admin: typeof service.admin = (...call) => service.admin(...call)
const peer = await FakePeer.open(t, 'initech.example')
const bundle = Buffer.from(peer.document).toString()

const entente = (...argv: readonly string[]): Promise<Ran> =>
  ran(argv, { ENTENTE_DATA_DIR: service.folder })

/** A folder of files; `apply` and `diff` run on it. */
function filesOf(t: Test, files: Record<string, string>) {
  const folder = join(dataFolder(t), 'files')
  mkdirSync(folder)
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  for (const [name, text] of Object.entries(files)) write(name, text)
  const run = (verb: 'apply' | 'diff', ...more: string[]) => entente(verb, '-f', folder, ...more)
  return { folder, write, remove: (name: string) => rmSync(join(folder, name)), run }
}

function staticPeer(name: string, members = '', mesh = 'acme'): string {
  const domain = `{trustDomain: ${name}.example, source: static, bundle: '${bundle}'}`
  return `kind: Relationship\nmesh: ${mesh}\nname: ${name}\n${members}domains: [${domain}]\n`
}

function webPeer(url: string, members = ''): string {
  const domain = `{trustDomain: hooli.example, source: https_web, endpointUrl: '${url}'}`
  return `kind: Relationship\nmesh: acme\nname: hooli\n${members}domains: [${domain}]\n`
}

function pemPeer(bundlePem: string): string {
  const domains = [{ trustDomain: 'hooli.example', source: 'static', bundlePem }]
  return JSON.stringify({ kind: 'Relationship', mesh: 'acme', name: 'hooli', domains })
}

/** A service without meshes again. */
async function clean(): Promise<void> {
  const { items } = (await admin('GET', '/meshes')).body
  for (const { meshId } of items) await admin('DELETE', `/meshes/${meshId}?force=true`)
}

const show = async (path: string) => (await admin('GET', `/meshes/acme/${path}`)).body

t.afterEach(clean)

t.test(
  'files are applied in the order of what they need, and again without an effect',
  async (t) => {
    const { run } = filesOf(t, {
      'a-group.yaml':
        'kind: PeerGroup\nmesh: acme\nname: partners\nmembers: [{relationship: initech}]\n',
      'b-peer.yaml': staticPeer('initech', 'note: pilot\n'),
      'c-mesh.yaml': MESHES,
      'notes.txt': 'no document',
    })
    const dry = await run('apply', '--dry-run')
    t.equal(dry.code, 0, dry.err)
    t.match(
      dry.out,
      'Mesh acme would be created\nMesh globex would be created\nRelationship acme/initech would be created\nPeerGroup acme/partners would be created\n',
    )
    t.same((await admin('GET', '/meshes')).body.items, [])
    const first = await run('apply')
    t.equal(first.code, 0, first.err)
    t.equal(
      first.out,
      'Mesh acme created\nMesh globex created\nRelationship acme/initech created\nPeerGroup acme/partners created\n',
    )
    t.match(await show('relationships/initech'), { state: 'active', note: 'pilot' })
    t.match(await show('peer-groups/partners'), { members: [{ relationship: 'initech' }] })
    t.equal((await admin('GET', '/meshes/acme')).body.settings.hintSeconds, 120)
    const { db } = service.service.base.database
    const records = () => db.selectFrom('audit_record').select('id').execute()
    const before = (await records()).length
    const again = await run('apply')
    t.equal(again.out.match(/unchanged/g)?.length, 4, again.out)
    t.equal((await records()).length, before, 'nothing was written')
    t.match(await run('diff'), { code: 0, out: '' })
  },
)

t.test('what differs is shown field by field, exit code 1, and applied', async (t) => {
  const { run, write } = filesOf(t, {
    'mesh.yaml': MESHES,
    'peer.yaml': staticPeer('initech', 'note: pilot\nhintMaxSeconds: 600\n'),
  })
  await run('apply')
  await entente('federation', 'set', 'initech', '--note', 'by hand', '--mesh', 'acme')
  await entente('mesh', 'set', 'acme', '--set', 'hintSeconds=60', '--set', 'rootSeconds=40000000')
  write(
    'peer.yaml',
    staticPeer('initech', 'note: pilot\ncontact: ops@initech.example\nlabels: {tier: gold}\n'),
  )
  const found = await run('diff')
  t.equal(found.code, 1, found.err)
  t.equal(
    found.out.replaceAll(/\(.*\)/g, '()'),
    `Mesh acme ()
- settings.hintSeconds: 60
+ settings.hintSeconds: 120
Relationship acme/initech ()
+ contact: ops@initech.example
- note: by hand
+ note: pilot
+ labels.tier: gold
- hintMaxSeconds: 600
`,
  )
  t.match(found.out, /peer\.yaml\)/)
  const json = JSON.parse((await run('diff', '-o', 'json')).out)
  t.match(json.differences[1], { kind: 'Relationship', mesh: 'acme', name: 'initech' })
  const dry = await run('apply', '--dry-run')
  t.match(dry.out, 'Relationship acme/initech would be updated')
  t.match(await show('relationships/initech'), { note: 'by hand' })
  const applied = await run('apply')
  t.equal(applied.code, 0, applied.err)
  t.match(applied.out, '  - note: by hand\n  + note: pilot\n')
  t.match(await show('relationships/initech'), {
    note: 'pilot',
    contact: 'ops@initech.example',
    hintMaxSeconds: null,
  })
  const { settings } = (await admin('GET', '/meshes/acme')).body
  t.match(
    settings,
    { hintSeconds: 120, rootSeconds: 40_000_000 },
    'settings that no file names stay',
  )
  t.equal((await run('diff')).code, 0)
  write('peer.yaml', staticPeer('initech', 'note: pilot\nlabels: {team: trust}\n'))
  t.match((await run('apply')).out, '  - contact: ops@initech.example\n')
  t.match(await show('relationships/initech'), { contact: null, labels: { team: 'trust' } })
  t.notOk('tier' in (await show('relationships/initech')).labels, 'a label that left the file goes')
  write('peer.yaml', staticPeer('initech', 'note: pilot\n'))
  await run('apply')
  t.same((await show('relationships/initech')).labels, {})
})

t.test(
  'what show and list print with -o yaml is applied without an effect, here and elsewhere',
  async (t) => {
    const group =
      'kind: PeerGroup\nmesh: acme\nname: partners\nnote: x\nmembers: [{self: true}, {relationship: initech}]\n'
    const { run } = filesOf(t, {
      'all.yaml': `${MESHES}---\n${staticPeer('initech', 'note: "yes"\n')}---\n${group}`,
    })
    t.equal((await run('apply')).code, 0)
    const acme = ['--mesh', 'acme', '-o', 'yaml']
    const shown = [
      await entente('mesh', 'list', ...acme),
      await entente('federation', 'list', ...acme),
      await entente('peer-group', 'list', ...acme),
    ]
    for (const one of shown) t.equal(one.code, 0, one.err)
    const documents = shown.map(({ out }) => out).join('---\n')
    t.same(
      parseAllDocuments(documents).map((document) => [document.get('kind'), document.get('mesh')]),
      [
        ['Mesh', 'acme'],
        ['Mesh', 'globex'],
        ['Relationship', 'acme'],
        ['PeerGroup', 'acme'],
      ],
    )
    const copy = filesOf(t, { 'copy.yaml': documents })
    t.match(await copy.run('diff'), { code: 0, out: '' }, documents)
    const again = await copy.run('apply')
    t.equal(again.out.match(/unchanged/g)?.length, 4, again.out + again.err)
    t.equal((await entente('mesh', 'show', 'acme', '-o', 'yaml')).out, documents.split('---\n')[0])
    t.equal((await entente('federation', 'show', 'initech', ...acme)).out, shown[1]?.out)
    t.equal((await entente('peer-group', 'show', 'partners', ...acme)).out, shown[2]?.out)
    t.match(
      JSON.parse(
        (await entente('federation', 'show', 'initech', '--mesh', 'acme', '-o', 'json')).out,
      ),
      { state: 'active' },
      'json is the answer of the API',
    )
    await clean()
    t.equal((await copy.run('apply')).code, 0)
    t.match(await show('relationships/initech'), { note: 'yes', state: 'active' })
    t.match(await copy.run('diff'), { code: 0, out: '' })
  },
)

t.test('a wrong document stops everything, and its file, number and field are named', async (t) => {
  const { run } = filesOf(t, {
    'a.yaml': `${MESHES}colour: red\n---\n${staticPeer('initech', 'hintMinSeconds: "60"\n')}`,
    'b.yaml': 'kind: Planet\nmesh: acme\n',
  })
  const kind = await run('apply')
  t.equal(kind.code, 2)
  t.match(kind.err, /b\.yaml: kind is "Planet", wanted one of Mesh, .*PeerGroup/)
  const { run: runs } = filesOf(t, {
    'a.yaml': `${MESHES}colour: red\n---\n${staticPeer('initech', 'hintMinSeconds: "60"\n')}`,
    'b.json': '{"kind":"PeerGroup","mesh":"acme","name":"x"}',
  })
  const { code, err } = await runs('apply')
  t.equal(code, 2)
  t.match(err, '3 documents are wrong; nothing was changed')
  t.match(
    err,
    /a\.yaml document 2 \/colour: is no field that the service knows, wanted one of .*trustDomain/,
  )
  t.match(err, /a\.yaml document 3 \/hintMinSeconds: must be integer/)
  t.match(err, /b\.json \/members: is missing/)
  t.equal((await runs('diff')).code, 2)
  t.same((await admin('GET', '/meshes')).body.items, [])
})

t.test('files that cannot be read say why', async (t) => {
  const peer = staticPeer('initech')
  for (const [text, wanted] of [
    ['kind: Mesh\nkind: Mesh\n', /Map keys must be unique/],
    [`a: &a [x]\nb: &b [${'*a, '.repeat(60)}]\nc: [${'*b, '.repeat(60)}]\n`, /alias/],
    ['- 1\n', /it must be an object with kind and mesh/],
    ['mesh: acme\n', /kind is missing/],
    ['kind: Mesh\nmesh: acme\nmeshId: globex\n', /mesh acme and meshId is "globex"/],
    ['kind: PeerGroup\nmesh: acme\nmembers: []\n', /name is missing/],
    [`${peer}---\n${peer}`, /document 2: Relationship acme\/initech stands in .* document 1 too/],
  ] as const) {
    const { code, err } = await filesOf(t, { 'one.yaml': text }).run('apply')
    t.equal(code, 2, text)
    t.match(err, wanted)
  }
  t.match(await filesOf(t, {}).run('apply'), { code: 2, err: /no documents in/ })
  t.match(await entente('apply', '-f', '/nowhere'), { code: 2, err: /there is no file or folder/ })
  t.match(await entente('apply'), { code: 2, err: /filename/ })
})

t.test('documents come from stdin too, and a mesh that none names is the only one', async (t) => {
  await admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
  const text = 'kind: PeerGroup\nname: partners\nmembers: []\n'
  const done = await ran(['apply', '-f', '-'], { ENTENTE_DATA_DIR: service.folder }, text)
  t.equal(done.out, 'PeerGroup acme/partners created\n', done.err)
})

t.test('what the service would refuse is refused before anything is changed', async (t) => {
  const { run } = filesOf(t, {
    'mesh.yaml': 'kind: Mesh\nmesh: acme\ntrustDomain: acme.example\n',
    'groups.yaml': `kind: PeerGroup\nmesh: acme\nname: good\nmembers: []\n---\nkind: PeerGroup\nmesh: acme\nname: bad\nmembers: [{relationship: nobody}]\n`,
  })
  await admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
  const refused = await run('apply')
  t.equal(refused.code, 1)
  t.match(
    refused.err,
    /groups\.yaml document 2: group refused: this mesh has no relationship "nobody"/,
  )
  t.same((await show('peer-groups')).items, [])
})

t.test('pinned parameters that differ are shown as drift and not applied', async (t) => {
  const { run, write } = filesOf(t, { 'mesh.yaml': MESHES })
  await run('apply')
  write('mesh.yaml', MESHES.replace('acme.example', 'acme.test'))
  const found = await run('diff')
  t.equal(found.code, 1)
  t.match(
    found.out,
    '- trustDomain: acme.example\n+ trustDomain: acme.test\n# cannot be applied: trustDomain cannot be changed',
  )
  const refused = await run('apply')
  t.equal(refused.code, 1)
  t.match(refused.err, /mesh\.yaml document 1: trustDomain cannot be changed once it exists/)
})

t.test('authorities of a static peer may stand in its file as PEM', async (t) => {
  const first = (await FakeAuthority.root('hooli.example')).pem
  const { run, write } = filesOf(t, { 'mesh.yaml': MESHES, 'peer.json': pemPeer(first) })
  t.equal((await run('apply')).code, 0)
  t.match(await run('diff'), { code: 0, out: '' })
  write('peer.json', pemPeer(`${first}\n${(await FakeAuthority.root('hooli.example')).pem}`))
  t.match((await run('diff')).out, /\+ domains\[hooli\.example\]\.bundle: /)
  const applied = await run('apply')
  t.equal(applied.code, 0, applied.err)
  t.equal((await show('relationships/hooli')).domains[0].bundle.x509Authorities, 2)
  t.match(await run('diff'), { code: 0, out: '' })
})

t.test(
  'another endpoint of a peer is proposed once, and in force when it is approved',
  async (t) => {
    const { run, write } = filesOf(t, {
      'mesh.yaml': MESHES,
      'peer.yaml': webPeer('https://hooli.example/one'),
    })
    await run('apply')
    write('peer.yaml', webPeer('https://hooli.example/two', 'note: moved\n'))
    const lines = [
      '- domains[hooli.example].endpointUrl: https://hooli.example/one',
      '+ domains[hooli.example].endpointUrl: https://hooli.example/two',
    ]
    const drift = await run('diff')
    t.equal(drift.code, 1)
    for (const line of lines) t.match(drift.out, line)
    t.match(drift.out, '# in force once a proposal of it is approved')
    const proposed = await run('apply')
    t.equal(proposed.code, 0, proposed.err)
    t.match(proposed.out, /hooli updated\n[^]*proposed, and in force once it is approved/)
    const view = await show('relationships/hooli')
    t.match(view, { note: 'moved', domains: [{ endpointUrl: 'https://hooli.example/one' }] })
    t.equal(view.proposals.length, 1)
    const again = await run('apply')
    t.match(again.out, 'Relationship acme/hooli unchanged\n')
    t.match(again.out, 'proposed, and in force once it is approved')
    t.equal((await show('relationships/hooli')).proposals[0].id, view.proposals[0].id)
    t.equal((await run('diff')).code, 1, 'it still differs')
    write('peer.yaml', webPeer('https://hooli.example/three', 'note: moved\n'))
    await run('apply')
    const [proposal, another] = (await show('relationships/hooli')).proposals
    t.not(proposal.id, view.proposals[0].id, 'another wish takes the place of the first')
    t.equal(another, undefined)
    const at = `/meshes/acme/relationships/hooli/proposals/${proposal.id}/approve`
    t.equal((await admin('POST', at, {}, { 'if-match': '*' })).status, 200)
    t.match(await run('diff'), { code: 0, out: '' })
  },
)

t.test('the bundle of a static peer follows its file', async (t) => {
  const { run, write } = filesOf(t, { 'mesh.yaml': MESHES, 'peer.yaml': staticPeer('initech') })
  await run('apply')
  write('peer.yaml', staticPeer('initech').replace(bundle, `${bundle} `))
  t.equal((await run('diff')).code, 0, 'white space around it says nothing')
  const next = Buffer.from(peer.bundle(7n)).toString()
  write('peer.yaml', staticPeer('initech').replace(bundle, next))
  t.match(
    (await run('diff')).out,
    /\+ domains\[initech\.example\]\.bundle: \(\d+ characters, SHA-256/,
  )
  const applied = await run('apply')
  t.equal(applied.code, 0, applied.err)
  t.match((await show('relationships/initech')).domains[0].bundle, { sequence: '7' })
})

t.test(
  'pruning ends what this owner applied and no file names any more, and nothing else',
  async (t) => {
    const { run, remove, write } = filesOf(t, {
      'mesh.yaml': MESHES,
      'peers.yaml': `${staticPeer('initech')}---\n${staticPeer('hooli')}`,
      'group.yaml':
        'kind: PeerGroup\nmesh: acme\nname: partners\nmembers: [{relationship: hooli}]\n',
    })
    const team = ['--owner', 'team']
    t.equal((await run('apply', ...team)).code, 0)
    const other = filesOf(t, {
      'x.yaml': 'kind: PeerGroup\nmesh: acme\nname: theirs\nmembers: []\n',
    })
    await other.run('apply', '--owner', 'other')
    await admin('POST', '/meshes/acme/peer-groups', { name: 'by-hand', members: [] })
    remove('group.yaml')
    write('peers.yaml', staticPeer('initech'))
    write('mesh.yaml', MESHES.split('---\n')[0] ?? '')

    t.equal((await run('apply', ...team)).out.match(/deleted/), null, 'not without --prune')
    const drift = await run('diff', '--prune', ...team)
    t.equal(drift.code, 1)
    t.match(drift.out, /PeerGroup acme\/partners \(in no file any more\)\n- name: partners\n/)
    const dry = await run('apply', '--prune', '--dry-run', ...team)
    t.match(
      dry.out,
      'PeerGroup acme/partners would be deleted\nRelationship acme/hooli would be deleted\n  trust-domain hooli.example: its SVIDs are no longer accepted',
    )
    t.match(dry.err, 'Mesh globex is in no file and stays')
    t.equal((await show('relationships/hooli')).state, 'active')
    const done = await run('apply', '--prune', ...team)
    t.equal(done.code, 0, done.err)
    t.match(done.out, 'PeerGroup acme/partners deleted\nRelationship acme/hooli deleted\n')
    t.same(
      (await show('relationships')).items.map(({ name }: { name: string }) => name),
      ['initech'],
    )
    t.same(
      (await show('peer-groups')).items.map(({ name }: { name: string }) => name),
      ['by-hand', 'theirs'],
    )
    t.equal((await run('diff', '--prune', ...team)).code, 0)
    t.equal((await admin('GET', '/meshes/globex')).status, 200)
    const meshes = await run('apply', '--prune', '--prune-meshes', ...team)
    t.match(meshes.out, 'Mesh globex deleted')
    t.equal((await admin('GET', '/meshes/globex')).status, 404)
  },
)

t.test('the example of the documentation does what is printed there', async (t) => {
  const examples = join(import.meta.dirname, '../../examples/declarative')
  const read = (name: string): string => readFileSync(join(examples, name), 'utf8')
  const { run, write } = filesOf(t, {
    'meshes.yaml': read('meshes.yaml'),
    'peers.yaml': read('peers.yaml'),
    'groups.yaml': read('groups.yaml'),
  })
  const page = readFileSync(join(examples, '../../docs/declarative.md'), 'utf8')
  t.match(page, read('peers.yaml').split('---\n')[0], 'the document on the page is in the file')
  const platform = ['--owner', 'platform']
  const shown = async (...more: string[]): Promise<void> => {
    const { out } = await run('apply', ...platform, ...more)
    t.ok(page.includes(out), out)
  }
  await shown('--dry-run')
  await shown()
  await entente('federation', 'set', 'globex', '--mesh', 'acme', '--note', 'contract 4712')
  const drift = await run('diff', ...platform)
  t.ok(page.includes(drift.out.replace(/\(.*\/peers/, '(examples/declarative/peers')), drift.out)
  await run('apply', ...platform)
  write('peers.yaml', read('peers.yaml').split('---\n')[0] ?? '')
  write('groups.yaml', read('groups.yaml').replace('  - relationship: initech\n', ''))
  await shown('--prune', '--dry-run')
  t.equal((await run('apply', ...platform, '--prune')).code, 0)
  t.equal((await run('diff', ...platform, '--prune')).code, 0)
})

t.test('an object of another owner is refused unless it is taken over', async (t) => {
  const { run } = filesOf(t, { 'mesh.yaml': MESHES })
  await run('apply', '--owner', 'team')
  const refused = await run('apply', '--owner', 'other')
  t.equal(refused.code, 1)
  t.match(
    refused.err,
    /mesh\.yaml document 1: it was applied by owner team; --owner team, or --take-over/,
  )
  t.equal((await run('apply', '--owner', 'other', '--take-over')).code, 0)
  const { items } = await show('applied')
  t.match(items, [{ kind: 'Mesh', name: 'acme', owner: 'other' }])
})

t.test('an object that its file made and a person made anew is not pruned', async (t) => {
  const { run, remove } = filesOf(t, { 'mesh.yaml': MESHES, 'peer.yaml': staticPeer('initech') })
  await run('apply')
  const acme = ['--mesh', 'acme']
  await entente('federation', 'terminate', 'initech', ...acme)
  t.match(
    (await run('diff')).out,
    /# cannot be applied: it is terminated; entente federation delete/,
  )
  await entente('federation', 'delete', 'initech', ...acme)
  const domains = [{ trustDomain: 'initech.example', source: 'static', bundle }]
  await admin('POST', '/meshes/acme/relationships', { name: 'initech', domains })
  remove('peer.yaml')
  t.equal((await run('apply', '--prune')).code, 0)
  t.equal((await show('relationships/initech')).state, 'active')
})

t.test('a failure of diff has an exit code above 1', async (t) => {
  const file = join(filesOf(t, { 'mesh.yaml': MESHES }).folder, 'mesh.yaml')
  const token = join(dataFolder(t), 'admin.token')
  const wrong = {
    ENTENTE_ADDR: `unix:${join(service.folder, 'admin.sock')}`,
    ENTENTE_TOKEN_FILE: token,
  }
  t.equal((await ran(['diff', '-f', file], wrong)).code, 4, 'refused')
  t.equal((await ran(['diff', '-f', file], { ENTENTE_DATA_DIR: token })).code, 3, 'no service')
  t.equal((await entente('diff', '-f', `${file}.no`)).code, 2, 'no file')
})
