import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeMixedMesh } from '../support/mixed-mesh.ts'
import { startTestService } from '../support/service.ts'
import { dataFolder, type Ran, ran } from '../support/small-server.ts'

t.setTimeout(180_000)

const service = await startTestService(t)
const entente = (...argv: readonly string[]): Promise<Ran> =>
  ran(argv, { ENTENTE_DATA_DIR: service.folder })

const call = async (method: string, path: string, body?: object): Promise<any> => {
  const headers = method === 'POST' || method === 'GET' ? {} : { 'if-match': '*' }
  const answer = await service.admin(method as 'GET', path, body, headers)
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.body.detail}`)
  return answer.body
}

const makeMesh = () => call('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
const endMesh = () => call('DELETE', '/meshes/acme?force=true')
const below = (method: string, path: string, body?: object) =>
  call(method, `/meshes/acme/${path}`, body)

/** The mesh as it is, one document each. */
async function printed(): Promise<string[]> {
  const documents: string[] = []
  for (const noun of ['mesh', 'network', 'control-plane', 'cluster', 'gateway']) {
    const { out, err } = await entente(noun, 'list', '--mesh', 'acme', '-o', 'yaml')
    if (err !== '') throw new Error(err)
    documents.push(...out.split('---\n'))
  }
  return documents
}

const plane = (name: string, cluster: string): string =>
  `${JSON.stringify({ kind: 'ControlPlane', mesh: 'acme', name, type: 'primary', cluster })}\n`
const cluster = (name: string, ...controlPlanes: string[]): string =>
  `${JSON.stringify({ kind: 'Cluster', mesh: 'acme', name, role: 'primary', controlPlanes })}\n`

/** Always the same order for a number. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  let state = seed
  const next = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state
  }
  return items
    .map((item) => ({ item, at: next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

function fileOf(t: Test, documents: readonly string[]): string {
  const file = join(dataFolder(t), 'mesh.yaml')
  writeFileSync(file, documents.join('---\n'))
  return file
}

t.test(
  'the mixed example is made by one apply, in whatever order its documents stand',
  async (t) => {
    await makeMesh()
    await makeMixedMesh((method, path, body) => below(method, path, body as object))
    const documents = await printed()
    await endMesh()
    const [mesh = '', ...others] = documents
    const orders = [
      documents,
      documents.toReversed(),
      ...[1, 2, 3, 4].map((seed) => shuffled(documents, seed)),
    ]
    for (const [index, order] of orders.entries()) {
      const file = fileOf(t, order)
      const dry = await entente('apply', '-f', file, '--dry-run')
      t.equal(dry.code, 0, dry.err)
      const { code, out, err } = await entente('apply', '-f', file)
      t.equal(code, 0, `${index}: ${err}`)
      t.equal(out.match(/ created\n/g)?.length, documents.length, out)
      t.match(await entente('diff', '-f', file), { code: 0, out: '' })
      const planes = (await below('GET', 'control-planes')).items
      t.same(
        planes.map(({ name }: any) => name),
        ['cp-1', 'cp-2', 'default'],
      )
      const { controlPlanes } = await below('GET', 'clusters/cluster-1')
      t.same(controlPlanes, ['cp-1', 'cp-2'], 'ranked in a circle')
      t.match(await entente('apply', '-f', file), { code: 0, out: /^(.* unchanged\n)+$/ })
      await endMesh()
    }
    await makeMesh()
    const file = fileOf(t, shuffled(others, 5))
    t.equal((await entente('apply', '-f', file)).code, 0, 'also in a mesh that is there')
    t.match(await entente('diff', '-f', file, '-f', fileOf(t, [mesh])), { code: 0, out: '' })
  },
)

t.test(
  'a cluster may run several control planes, and rank them in a circle with others',
  async (t) => {
    await endMesh()
    await makeMesh()
    const documents = [
      cluster('a', 'b-1', 'a-2', 'a-1'),
      cluster('b', 'a-1', 'c'),
      cluster('c', 'b-1', 'a-2'),
      plane('a-1', 'a'),
      plane('a-2', 'a'),
      plane('b-1', 'b'),
    ]
    for (const order of [documents, documents.toReversed()]) {
      const file = fileOf(t, order)
      const { code, err } = await entente('apply', '-f', file)
      t.equal(code, 0, err)
      t.match(await entente('diff', '-f', file), { code: 0, out: '' })
      await endMesh()
      await makeMesh()
    }
  },
)

t.test('a circle that cannot be opened is told by the service', async (t) => {
  const remote = cluster('r', 'own').replace('primary', 'remote')
  const file = fileOf(t, [plane('own', 'r'), remote])
  t.match(await entente('apply', '-f', file), { code: 1, err: /"r"/ })
})

t.test('what a new mesh begins with may stand in its file', async (t) => {
  await endMesh()
  await makeMesh()
  await below('PATCH', 'networks/default', { directlyReachable: false })
  const file = fileOf(t, (await printed()).toReversed())
  await endMesh()
  const { code, err } = await entente('apply', '-f', file)
  t.equal(code, 0, err)
  t.match(await entente('diff', '-f', file), { code: 0, out: '' })
  t.equal((await below('GET', 'networks/default')).directlyReachable, false)
})

t.test(
  'what refers to each other goes together, and not while something else uses it',
  async (t) => {
    await endMesh()
    await makeMesh()
    await makeMixedMesh((method, path, body) => below(method, path, body as object))
    await below('POST', 'networks', { name: 'spare' })
    const spare = { name: 'spare', role: 'primary', networks: ['spare'] }
    await below('POST', 'clusters', spare)
    const documents = await printed()
    const kept = documents.filter((one) => /^kind: Mesh|name: spare$/m.test(one))
    const [all, less] = [fileOf(t, documents), fileOf(t, kept)]
    t.equal((await entente('apply', '-f', all, '--owner', 'git')).code, 0)
    await below('PATCH', 'clusters/spare', { controlPlanes: ['spare', 'cp-1'] })
    const refused = await entente('apply', '-f', less, '--owner', 'git', '--prune')
    t.equal(refused.code, 1)
    t.match(refused.err, /Cluster acme\/cluster-1: is used by cluster spare/)
    await below('PATCH', 'clusters/spare', { controlPlanes: ['spare'] })
    const pruned = await entente('apply', '-f', less, '--owner', 'git', '--prune')
    t.equal(pruned.code, 0, pruned.err)
    const { items } = await below('GET', 'clusters')
    t.same(
      items.map(({ name }: any) => name),
      ['spare'],
    )
  },
)
