import t from 'tap'
import { yamlValues } from '../../src/cli/yaml-text.ts'

t.test('documents of a text, JSON included, one by one', async (t) => {
  t.same(yamlValues('a: 1\n---\n{"b": [2]}\n---\n'), [
    { value: { a: 1 } },
    { value: { b: [2] } },
    { value: null },
  ])
  t.same(yamlValues(''), [])
})

t.test('a key that stands twice is a fault, wherever its map is', async (t) => {
  for (const text of [
    'a: 1\nb: 2\na: 3',
    '{"list": [{"a": 1, "a": 2}]}',
    'x: {y: {a: 1, "a": 2}}',
  ]) {
    t.match(yamlValues(text), [{ fault: 'Map keys must be unique; found "a" twice' }], text)
  }
  t.match(yamlValues('1: a\n"1": b'), [{ fault: /"1" twice/ }], 'as members they are one')
})

t.test(
  'a map of a hundred thousand members is read, and aliases without end are not',
  async (t) => {
    const members = Array.from({ length: 100_000 }, (_, i) => `k${i}: ${i}`)
    t.equal(Object.keys(yamlValues(members.join('\n'))[0]?.value ?? {}).length, 100_000)
    const bomb = Array.from({ length: 12 }, (_, i) =>
      i === 0
        ? 'a0: &a0 [x,x]'
        : `a${i}: &a${i} [${Array(9)
            .fill(`*a${i - 1}`)
            .join(',')}]`,
    ).join('\n')
    t.match(yamlValues(bomb), [{ fault: /alias/ }])
    t.match(yamlValues('a: [1'), [{ fault: /\S/ }])
  },
)
