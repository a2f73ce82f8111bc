import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ORIGINS } from '../../../src/cli/convert/options.ts'
import { FakePeer } from '../../support/fake-peer.ts'
import { startTestService } from '../../support/service.ts'
import { dataFolder, ran } from '../../support/small-server.ts'
import { INPUTS } from './inputs.ts'

t.setTimeout(180_000)

const EXPORTED = { Name: '*', Namespace: 'shop', Consumers: [{ SamenessGroup: 'eu' }] }
const source = (Name: string, Action: string) => ({
  Name,
  Namespace: 'web',
  SamenessGroup: 'eu',
  Action,
})

const service = await startTestService(t)
const entente = (...argv: readonly string[]) => ran(argv, { ENTENTE_DATA_DIR: service.folder })

t.test(
  "Consul's policy is converted, applied, unchanged when applied again, and pruned",
  async (t) => {
    const folder = dataFolder(t)
    const [input, output] = [join(folder, 'consul.yaml'), join(folder, 'rules.yaml')]

    await entente('mesh', 'create', 'acme', '--trust-domain', 'acme.example')
    const peer = await FakePeer.open(t, 'globex.example')
    writeFileSync(input, peer.document)
    const added = await entente(
      'federation',
      'add',
      'globex',
      '--trust-domain',
      'globex.example',
      '--profile',
      'static',
      '--bundle-file',
      input,
    )
    t.equal(added.code, 0, added.err)

    const convert = async (Sources: readonly object[]) => {
      const entries = [
        { Kind: 'exported-services', Services: [EXPORTED] },
        { Kind: 'sameness-group', Name: 'eu', IncludeLocal: true, Members: [{ Peer: 'globex' }] },
        { Kind: 'service-intentions', Name: 'cart', Namespace: 'shop', Sources },
      ]
      writeFileSync(input, entries.map((one) => JSON.stringify(one)).join('\n---\n'))
      const converted = await entente('rule', 'convert', '--from', 'consul', '-f', input)
      writeFileSync(output, converted.out)
      return converted
    }
    const files = ['-f', output, '--owner', 'consul']

    const whole = await convert([source('front', 'allow'), source('admin', 'allow')])
    t.equal(whole.code, 0, whole.err)
    const applied = await entente('apply', ...files)
    t.equal(applied.code, 0, applied.err)
    t.equal((await entente('diff', ...files)).code, 0, 'nothing differs from what was applied')
    await entente(
      'service',
      'add',
      'shop/cart',
      '--port',
      'http:80',
      '--identity',
      '/ns/shop/dc/dc1/svc/cart',
    )
    const may = async (caller: string): Promise<string> => {
      const id = `spiffe://globex.example/ns/web/dc/dc1/svc/${caller}`
      return (await entente('explain', id, '--may-call', 'shop/cart', '--in', 'acme')).out
    }
    t.match(await may('admin'), /may call shop\/cart, if globex allows its half$/m)
    t.match(await may('other'), /may not call shop\/cart$/m)

    await convert([source('front', 'allow')])
    const pruned = await entente('apply', ...files, '--prune')
    t.equal(pruned.code, 0, pruned.err)
    t.match(await may('front'), /may call shop\/cart/)
    t.match(await may('admin'), /may not call shop\/cart$/m)
  },
)

t.test('what is refused is told on stderr with exit code 1, the rest is printed', async (t) => {
  const file = join(dataFolder(t), 'in.json')
  const selector = { nameSelector: { name: 'a', alias: { namespace: 'b' } } }
  const rule = { type: 'NameSelector', importAsLocal: true, ...selector }
  const set = {
    kind: 'ImportedServiceSet',
    metadata: { name: 'globex' },
    spec: { importRules: [rule] },
  }
  writeFileSync(file, JSON.stringify(set))
  const { code, out, err } = await ran(['rule', 'convert', '--from', 'ossm', '-f', file], {})
  t.equal(code, 1)
  t.match(out, /^kind: Rule\nname: ossm-import-globex-1$/m)
  t.match(
    err,
    /not converted: .*in\.json, ImportedServiceSet globex, spec\.importRules\[0\]\.importAsLocal: /,
  )
  const wrong = await ran(['rule', 'convert', '--from', 'istio', '-f', file], {})
  t.equal(wrong.code, 2)
})

/** A mesh with the peers of {@link INPUTS}. */
async function makeMesh(meshId: string): Promise<void> {
  await service.admin('POST', '/meshes', { meshId, trustDomain: `${meshId}.example` })
  for (const name of ['globex', 'initech']) {
    const { document } = await FakePeer.open(t, `${name}.example`)
    const bundle = Buffer.from(document).toString()
    const domains = [{ trustDomain: `${name}.example`, source: 'static', bundle }]
    await service.admin('POST', `/meshes/${meshId}/relationships`, { name, domains })
  }
}

t.test('what is converted from each system is applied as it is printed', async (t) => {
  for (const from of ORIGINS) {
    const mesh = ['--mesh', `from-${from}`, '--owner', `of-${from}`]
    await makeMesh(`from-${from}`)
    const folder = dataFolder(t)
    const [input, output] = [join(folder, 'in.yaml'), join(folder, 'rules.yaml')]
    writeFileSync(input, INPUTS[from].map((one) => JSON.stringify(one)).join('\n---\n'))
    const peers = from === 'mcs' ? ['--peer', 'globex', '--peer', 'initech'] : []
    const printed = await entente('rule', 'convert', '--from', from, '-f', input, ...peers)
    t.equal(printed.code, from === 'mcs' ? 1 : 0, 'a ServiceImport merges, which is refused')
    writeFileSync(output, printed.out)
    const applied = await entente('apply', '-f', output, ...mesh)
    t.equal(applied.code, 0, `${from}: ${applied.err}`)
    t.equal(applied.out.match(/ created$/gm)?.length, printed.out.match(/^kind: /gm)?.length)
    t.match(await entente('diff', '-f', output, ...mesh), { code: 0, out: '' })
    const again = await entente('apply', '-f', output, ...mesh, '--prune')
    t.match(again, { code: 0, out: /^(.* unchanged\n)+$/ })
  }
})

t.test('a dry run tells for each peer what rules come to, as rule export does', async (t) => {
  const at = ['--mesh', 'from-mcs']
  await entente('service', 'add', 'web/front', '--port', 'http:80', '--identity', '/front', ...at)
  const exported = ['rule', 'export', 'web/front', '--to', 'globex', ...at]
  const said = (await entente(...exported, '--dry-run')).out
  const effects = said
    .split('\n')
    .filter((line) => /globex/.test(line) && !/would add|entente/.test(line))
  t.match(effects, [/^visible to globex now: web\/front$/, /\+ globex: web\/front becomes visible/])
  const rule = {
    kind: 'Rule',
    mesh: 'from-mcs',
    name: 'front',
    direction: 'export',
    effect: 'allow',
    subject: { namespace: 'web', name: 'front' },
    audience: { kind: 'peers', relationships: ['globex'] },
  }
  const file = join(dataFolder(t), 'rule.json')
  const write = (more: object): void => writeFileSync(file, JSON.stringify({ ...rule, ...more }))
  write({})
  const made = await entente('apply', '-f', file, '--dry-run', '--owner', 'front')
  for (const effect of effects) t.match(made.out, `  ${effect}\n`)
  const json = await entente('apply', '-f', file, '--dry-run', '--owner', 'front', '-o', 'json')
  t.match(JSON.parse(json.out).objects[0].effect, effects)
  await entente('apply', '-f', file, '--owner', 'front')
  write({ audience: { kind: 'peers', relationships: ['initech'] } })
  const changed = await entente('apply', '-f', file, '--dry-run', '--owner', 'front')
  t.match(changed.out, /- globex: web\/front becomes hidden/)
  t.match(changed.out, /\+ initech: web\/front becomes visible/)
  write({ name: 'other', subject: { namespace: 'web', name: 'other' } })
  const pruned = await entente('apply', '-f', file, '--dry-run', '--prune', '--owner', 'front')
  t.match(
    pruned.out,
    /Rule from-mcs\/front would be deleted\n {2,}- globex: web\/front becomes hidden/,
  )
  const group = { kind: 'PeerGroup', mesh: 'from-mcs', name: 'new', members: [] }
  const named = { ...rule, name: 'for-new', audience: { kind: 'peers', groups: ['new'] } }
  writeFileSync(file, [group, named].map((one) => JSON.stringify(one)).join('\n---\n'))
  t.match(
    (await entente('apply', '-f', file, '--dry-run')).out,
    /for-new would be created\n {2}what it comes to is known once what it names is there\n/,
  )
})
