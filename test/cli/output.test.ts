import fc from 'fast-check'
import t from 'tap'
import { parse } from 'yaml'
import { format, table } from '../../src/cli/output.ts'
import { isUnsafe, sanitizeLine, sanitizeText } from '../../src/cli/sanitize.ts'
import { seeded } from '../support/seeded.ts'

const people = [
  { name: 'ann', age: 7, tags: ['x', 'y'], note: null },
  { name: 'bartholomew', age: 12, tags: [], note: 'a\tb' },
]
const columns = [
  { title: 'NAME', value: (row: (typeof people)[number]) => row.name },
  { title: 'AGE', value: (row: (typeof people)[number]) => row.age },
  { title: 'TAGS', value: (row: (typeof people)[number]) => row.tags },
  { title: 'NOTE', value: (row: (typeof people)[number]) => row.note },
]

t.test('a table has aligned columns and no blanks at the end of lines', async (t) => {
  t.equal(
    format(table(people, columns), 'table'),
    [
      'NAME         AGE  TAGS  NOTE',
      'ann          7    x, y  -',
      'bartholomew  12   -     a\\u0009b',
      '',
    ].join('\n'),
  )
})

t.test('an empty table is a sentence, and the command that helps', async (t) => {
  t.equal(format(table([], columns, 'no people yet'), 'table'), 'no people yet\n')
  const helped = table([], columns, ['no people yet', 'entente mesh list'])
  t.equal(format(helped, 'table'), 'no people yet\n\nnext:\n  entente mesh list\n')
  t.same(JSON.parse(format(table([], columns), 'json')), { items: [] })
})

t.test('JSON and YAML print the rows whole, whatever the columns', async (t) => {
  t.same(JSON.parse(format(table(people, columns), 'json')), { items: people })
  t.same(parse(format(table(people, columns), 'yaml')), { items: people })
})

t.test('an object is printed as aligned lines with its next commands last', async (t) => {
  const value = {
    meshId: 'acme',
    lastSuccessAt: null,
    ok: true,
    gone: undefined,
    next: ['entente x'],
  }
  t.equal(
    format(value, 'table'),
    'mesh id          acme\nlast success at  -\nok               yes\n\nnext:\n  entente x\n',
  )
  t.same(JSON.parse(format(value, 'json')), {
    meshId: 'acme',
    lastSuccessAt: null,
    ok: true,
    next: ['entente x'],
  })
})

t.test('big integers stay exact in every mode', async (t) => {
  const value = { sequence: 18446744073709551615n }
  t.match(format(value, 'table'), '18446744073709551615')
  t.equal(JSON.parse(format(value, 'json')).sequence, '18446744073709551615')
  t.equal(parse(format(value, 'yaml')).sequence, '18446744073709551615')
})

t.test(
  'hostile text cannot steer the terminal in any mode, and stays readable as data',
  async (t) => {
    const hostile = 'a\u001b[2Jb\r\u009b31m\u202ec\u200bd\u2028e\u007f\nf'
    const value = { [hostile]: hostile, list: [hostile], next: [hostile] }
    for (const mode of ['table', 'json', 'yaml'] as const) {
      for (const shown of [
        format(value, mode),
        format(table([value], [{ title: hostile, value: () => hostile }]), mode),
      ]) {
        t.notOk(isUnsafe(shown.replaceAll('\n', '')), mode)
      }
    }
    t.same(JSON.parse(format(value, 'json')), value)
    t.same(parse(format(value, 'yaml')), value)
  },
)

t.test('text of several lines stays readable in YAML', async (t) => {
  const value = { pem: '-----BEGIN X-----\nAAAA\n-----END X-----\n', tab: 'a\tb\n' }
  t.match(format(value, 'yaml'), 'pem: |\n  -----BEGIN X-----\n  AAAA\n')
  t.same(parse(format(value, 'yaml')), value)
})

t.test('text without such characters is left as it is', async (t) => {
  for (const text of ['plain', 'ünïcödé 😀 日本', 'spiffe://acme.example/a', '{"a":1}'])
    t.equal(sanitizeLine(text), text)
  t.equal(sanitizeText('a\n\tb\u0007'), 'a\n\tb\\u0007')
  t.equal(sanitizeLine('\ud800x'), '\\ud800x')
})

t.test(
  'whatever is printed, nothing unsafe reaches the terminal and the data survives',
  async (t) => {
    const values = fc.dictionary(
      fc.string({ unit: 'grapheme' }),
      fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' }),
    )
    seeded(
      t,
      fc.property(values, (value) => {
        const clean = JSON.parse(JSON.stringify(value)) as unknown
        const json = format(value, 'json')
        const isSafe = ['table', 'json', 'yaml'] as const
        const same = JSON.stringify(JSON.parse(json)) === JSON.stringify(clean)
        return (
          same && isSafe.every((mode) => !isUnsafe(format(value, mode).replaceAll(/[\n\t]/g, '')))
        )
      }),
      300,
    )
  },
)
