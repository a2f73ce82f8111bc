import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FakePeer } from '../../support/fake-peer.ts'
import { startTestService } from '../../support/service.ts'
import { dataFolder, ran } from '../../support/small-server.ts'

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
