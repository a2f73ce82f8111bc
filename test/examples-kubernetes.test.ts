import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { commandLinesIn, faultOf } from './support/command-lines.ts'
import { readPage } from './support/markdown.ts'

const FOLDER = join(import.meta.dirname, '../examples/kubernetes')
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8')

interface Container {
  readonly args?: readonly string[]
  readonly command?: readonly string[]
  readonly securityContext: object
}
interface Documents {
  readonly kind: string
  readonly metadata: { readonly name: string }
  // oxlint-disable-next-line typescript/no-explicit-any -- objects of many shapes
  readonly [member: string]: any
}

function documentsOf(name: string): Documents[] {
  const documents = parseAllDocuments(read(name), { uniqueKeys: true })
  const found = Array.isArray(documents) ? documents : []
  for (const { errors } of found) t.same(errors, [], name)
  return found.map((document) => document.toJS() as Documents)
}

function containersOf(documents: readonly Documents[]): Container[] {
  return documents
    .filter(({ kind }) => kind === 'CronJob')
    .flatMap(({ spec }) => {
      const pod = spec.jobTemplate.spec.template.spec
      return [...pod.initContainers, ...pod.containers] as Container[]
    })
}

for (const name of ['feed-catalogue.yaml', 'apply-federation.yaml']) {
  t.test(`${name}: every command exists with its options`, async (t) => {
    const documents = documentsOf(name)
    t.same(
      documents.map(({ kind }) => kind).filter((kind) => kind !== 'PersistentVolumeClaim'),
      ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'CronJob'],
    )
    const scripts = containersOf(documents).flatMap(({ args = [] }) => args)
    const lines = scripts.flatMap((script) => script.split('\n'))
    const found = lines.flatMap((line) => commandLinesIn(line))
    t.ok(found.length > 0)
    for (const words of found) t.equal(await faultOf(words), undefined, words.join(' '))
  })

  t.test(`${name}: it may read or write what it needs and nothing else`, async (t) => {
    const documents = documentsOf(name)
    const account = documents.find(({ kind }) => kind === 'ServiceAccount')
    const role = documents.find(({ kind }) => kind === 'ClusterRole')
    const binding = documents.find(({ kind }) => kind === 'ClusterRoleBinding')
    t.equal(binding?.['roleRef'].name, role?.metadata.name)
    t.equal(binding?.['subjects'][0].name, account?.metadata.name)
    const words = JSON.stringify(role?.['rules'])
    t.notMatch(words, /\*|secrets|delete|escalate|impersonate/)
    for (const { securityContext } of containersOf(documents)) {
      t.match(securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
    }
  })
}

t.test('every command of the README parses', async (t) => {
  const { shellLines, plainLines } = readPage(read('README.md'))
  const lines = [...shellLines, ...plainLines].flatMap((line) => commandLinesIn(line))
  t.ok(lines.length >= 5, `${lines.length} commands`)
  for (const words of lines) t.equal(await faultOf(words), undefined, words.join(' '))
})
