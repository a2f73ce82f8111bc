import fc from 'fast-check'
import t from 'tap'
import { ShardedMap } from '../../../src/policy/snapshot/sharded-map.ts'
import { seeded } from '../../support/seeded.ts'

const key = fc.nat(120).map(String)
const change = fc.array(fc.tuple(key, fc.option(fc.nat(), { nil: undefined })), { maxLength: 40 })

t.test('a sharded map says what a plain one says, whatever was put in and taken out', async (t) => {
  seeded(
    t,
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      let sharded = ShardedMap.of<{ n: number }>([])
      const plain = new Map<string, { n: number }>()
      for (const one of changes) {
        const values = new Map(one.map(([name, n]) => [name, n === undefined ? n : { n }]))
        const before = [sharded, new Map(sharded)] as const
        sharded = sharded.with(values)
        for (const [name, value] of values) {
          if (value === undefined) plain.delete(name)
          else plain.set(name, value)
        }
        t.same(new Map(before[0]), before[1])
        compare(sharded, plain)
      }
    }),
    150,
  )
})

function sorted(keys: Iterable<string>): string[] {
  return [...keys].toSorted()
}

function compare(sharded: ShardedMap<{ n: number }>, plain: ReadonlyMap<string, { n: number }>) {
  const all: string[] = []
  sharded.forEach((value, name, map) => {
    if (map.get(name) === value) all.push(name)
  })
  const faults = [
    sharded.size !== plain.size,
    sorted(sharded.keys()).join() !== sorted(plain.keys()).join(),
    all.toSorted().join() !== sorted(plain.keys()).join(),
    [...sharded.values()].length !== plain.size,
    Array.from({ length: 121 }, (_, i) => String(i)).some(
      (name) => sharded.get(name) !== plain.get(name) || sharded.has(name) !== plain.has(name),
    ),
  ]
  if (faults.includes(true)) throw new Error(`the maps differ: ${faults.join()}`)
}
