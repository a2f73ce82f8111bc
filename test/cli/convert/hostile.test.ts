import fc from 'fast-check'
import t from 'tap'
import { CliFailure } from '../../../src/cli/failure.ts'
import { ORIGINS } from '../../../src/cli/convert/options.ts'
import { MAX_INPUT_BYTES } from '../../../src/cli/convert/read-input.ts'
import { converted, lines } from './converted.ts'

const SEED = { seed: 20261123, numRuns: 300 }

t.test(
  'a text that is no YAML, too large or full of aliases is a failure with exit code 2',
  async (t) => {
    const texts = {
      hcl: 'Kind = "exported-services"\nServices = [ { Name = "a" } ]\n}',
      large: `# ${'x'.repeat(MAX_INPUT_BYTES)}`,
      aliases: `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]`,
      deep: '['.repeat(100_000),
      twice: 'kind: A\nkind: B',
      many: '---\na: 1\n'.repeat(5_001),
    }
    for (const [name, text] of Object.entries(texts)) {
      t.throws(() => converted('consul', text), CliFailure, name)
    }
  },
)

t.test('HCL is told how to become JSON', async (t) => {
  for (const text of ['Kind = "a"\n{ b', 'Kind = "exported-services"']) {
    try {
      converted('consul', text)
      t.fail('it was read')
    } catch (error) {
      if (!(error instanceof CliFailure)) throw error
      t.equal(error.exitCode, 2)
      t.match(error.next, [/consul config read/])
    }
  }
})

t.test('members of objects that everybody inherits are not there', async (t) => {
  const text = '{"kind":"ServiceExport","metadata":{"__proto__":{"name":"x","namespace":"y"}}}'
  const { documents, refused } = converted('mcs', text)
  t.strictSame(lines({ documents }), [])
  t.strictSame(refused, ['ServiceExport metadata.namespace'])
})

t.test('a document that is no object is a failure, an item of a list is refused', async (t) => {
  for (const from of ORIGINS) {
    t.throws(() => converted(from, '- just\n- a list'), CliFailure, from)
    t.equal(converted(from, { kind: 'List', items: ['text', 7, null] }).refused.length, 3, from)
  }
})

t.test('equal and long names stay apart, and converting again gives the same', async (t) => {
  const name = 'a'.repeat(63)
  const one = { kind: 'ServiceExport', metadata: { namespace: name, name } }
  const two = { kind: 'ServiceExport', metadata: { namespace: name, name: `${'a'.repeat(62)}b` } }
  const hyphens = [
    { kind: 'ServiceExport', metadata: { namespace: 'a-b', name: 'c' } },
    { kind: 'ServiceExport', metadata: { namespace: 'a', name: 'b-c' } },
  ]
  const input = { kind: 'List', items: [one, two, ...hyphens] }
  const { documents } = converted('mcs', input)
  const names = documents.map((document) => document.name)
  t.equal(new Set(names).size, 4)
  t.ok(names.every((text) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)))
  t.strictSame(converted('mcs', input).documents, documents)
})

t.test('whatever a document holds, it is converted or refused and nothing else', async () => {
  const words = fc.constantFrom(
    'kind',
    'spec',
    'metadata',
    'name',
    'exportRules',
    'type',
    'nameSelector',
    'Services',
    'Sources',
    'Consumers',
    'Peer',
    'Name',
    'items',
  )
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(
        'ExportedServiceSet',
        'exported-services',
        'service-intentions',
        'ServiceImport',
        'NameSelector',
        '*',
        'a',
        '',
        null,
        7,
        true,
      ),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(words, tie('tree'), { maxKeys: 5 }),
    ),
  }))
  const document = fc.tuple(
    fc.constantFrom(
      'ExportedServiceSet',
      'ImportedServiceSet',
      'MeshFederation',
      'exported-services',
      'ServiceIntentions',
      'SamenessGroup',
      'ServiceExport',
      'ServiceImport',
    ),
    fc.dictionary(words, tree, { maxKeys: 6 }),
  )
  fc.assert(
    fc.property(fc.constantFrom(...ORIGINS), document, (from, [kind, value]) => {
      converted(from, { ...value, kind })
    }),
    SEED,
  )
})

t.test('a list of documents is read as they are one by one', async (t) => {
  const one = { kind: 'ServiceExport', metadata: { namespace: 'shop', name: 'cart' } }
  const two = { kind: 'ServiceExport', metadata: { namespace: 'shop', name: 'pay' } }
  const text = [one, two].map((document) => JSON.stringify(document)).join('\n---\n')
  t.strictSame(converted('mcs', [one, two]), converted('mcs', text))
  t.throws(() => converted('mcs', [[one]]), CliFailure, 'but no list in a list')
})
