import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startTestService } from '../support/service.ts'
import { dataFolder, type Ran, ran } from '../support/small-server.ts'

const FILE = `kind: Mesh
mesh: acme
trustDomain: acme.example
---
kind: Service
mesh: acme
namespace: shop
name: cart
labels:
  tier: front
ports:
  - name: http
    port: 8080
identities:
  - /ns/shop/sa/cart
---
kind: Entry
mesh: acme
spiffeId: spiffe://acme.example/reporter
cluster: default
`

const service = await startTestService(t)
const entente = (...argv: readonly string[]): Promise<Ran> =>
  ran(argv, { ENTENTE_DATA_DIR: service.folder })

/** A folder with one file; `apply` and `diff` run on it. */
function folderOf(t: Parameters<typeof dataFolder>[0]) {
  const folder = join(dataFolder(t), 'files')
  mkdirSync(folder)
  const write = (text: string): void => writeFileSync(join(folder, 'acme.yaml'), text)
  const run = (verb: 'apply' | 'diff', ...more: string[]) => entente(verb, '-f', folder, ...more)
  return { write, run }
}

t.test('services and entries come from files, change with them and go with them', async (t) => {
  const { write, run } = folderOf(t)
  write(FILE)
  const applied = await run('apply', '--owner', 'git')
  t.equal(applied.code, 0, applied.err)
  t.match(applied.out, 'Service acme/shop/cart created')
  t.match(applied.out, 'Entry acme/spiffe://acme.example/reporter created')
  const same = await run('diff')
  t.match(same, { code: 0 }, same.out + same.err)

  write(FILE.replace('  tier: front\n', '  stage: canary\n').replace('cluster: default\n', ''))
  const changed = await run('apply', '--owner', 'git')
  t.equal(changed.code, 0, changed.err)
  const read = await service.admin('GET', '/meshes/acme/services/shop/cart')
  t.same(read.body.labels, { stage: 'canary' })
  const { items } = (await service.admin('GET', '/meshes/acme/entries')).body
  t.equal(items[0].cluster, null, 'what the document leaves out is taken away')

  write(FILE.slice(0, FILE.indexOf('---')))
  const pruned = await run('apply', '--owner', 'git', '--prune')
  t.equal(pruned.code, 0, pruned.err)
  t.same((await service.admin('GET', '/meshes/acme/services')).body.items, [])
  t.same((await service.admin('GET', '/meshes/acme/entries')).body.items, [])
})

t.test('what -o yaml prints is a document that changes nothing', async (t) => {
  const { write, run } = folderOf(t)
  write(FILE)
  await run('apply', '--owner', 'git')
  const printed: string[] = []
  for (const words of [
    ['service', 'list'],
    ['entry', 'list'],
  ]) {
    printed.push((await entente(...words, '--mesh', 'acme', '-o', 'yaml')).out)
  }
  t.match(printed[0], 'kind: Service\nmesh: acme\nnamespace: shop\nname: cart\n')
  t.match(printed[1], 'kind: Entry\nmesh: acme\nspiffeId: spiffe://acme.example/reporter\n')
  write(printed.join('---\n'))
  const same = await run('diff')
  t.match(same, { code: 0 }, same.out + same.err)
})

t.test('a name that is none is refused, and what a cluster keeps is not for files', async (t) => {
  const { write, run } = folderOf(t)
  write('kind: Entry\nmesh: acme\nspiffeId: /reporter\n')
  t.match(await run('apply'), { code: 2, err: /wanted a whole SPIFFE ID/ })
  write('kind: Service\nmesh: acme\nname: cart\nports: []\nidentities: []\n')
  t.match(await run('apply'), { code: 2, err: /wanted a name, and a namespace beside it/ })
  const ports = [{ name: 'http', port: 80 }]
  const synced = { namespace: 'shop', name: 'own', ports, identities: ['/x'] }
  await service.admin('PUT', '/meshes/acme/clusters/default/services', {
    source: 'k8s',
    services: [synced],
  })
  write(JSON.stringify({ kind: 'Service', mesh: 'acme', ...synced, labels: { a: 'b' } }))
  const refused = await run('apply')
  t.not(refused.code, 0)
  t.match(refused.err, /kept up to date by k8s:default/)
})
