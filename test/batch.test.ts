import t from 'tap'
import { Batch } from '../src/batch.ts'

t.test('what waits at the same moment goes together, and each gets its own result', async (t) => {
  const runs: number[][] = []
  const gate = Promise.withResolvers<void>()
  const batch = new Batch<number, number>({
    name: 'doubling',
    run: async (items) => {
      runs.push([...items])
      if (runs.length === 1) await gate.promise
      return items.map((item) => item * 2)
    },
    most: 3,
    mostWaiting: 100,
  })
  const first = batch.add(1)
  await new Promise((resolve) => setImmediate(resolve))
  const others = [2, 3, 4, 5].map((item) => batch.add(item))
  gate.resolve()
  t.equal(await first, 2)
  t.same(await Promise.all(others), [4, 6, 8, 10])
  t.same(runs, [[1], [2, 3, 4], [5]])
})

t.test('a failing run fails all that were in it and nobody else', async (t) => {
  let fail = true
  const batch = new Batch<number, number>({
    name: 'test',
    run: async (items) => {
      if (fail) throw new Error('away')
      return items
    },
    most: 10,
    mostWaiting: 10,
  })
  const results = await Promise.allSettled([batch.add(1), batch.add(2)])
  t.ok(results.every(({ status }) => status === 'rejected'))
  fail = false
  t.equal(await batch.add(3), 3)
})

t.test('a run that forgets an item fails it instead of leaving it waiting', async (t) => {
  const batch = new Batch<number, number>({
    name: 'test',
    run: async () => [],
    most: 10,
    mostWaiting: 10,
  })
  await t.rejects(batch.add(1), /no result/)
})

t.test('when too many wait, the next is refused at once', async (t) => {
  const batch = new Batch<number, number>({
    name: 'test',
    run: () => new Promise(() => undefined),
    most: 1,
    mostWaiting: 2,
  })
  void batch.add(1)
  await new Promise((resolve) => setImmediate(resolve))
  void batch.add(2)
  void batch.add(3)
  t.throws(() => batch.add(4), { code: 'RATE_LIMITED', retryAfterSeconds: 1 })
})

t.test('an item that cannot be done does not take those beside it along', async (t) => {
  const batch = new Batch<number, number>({
    name: 'test',
    most: 10,
    mostWaiting: 10,
    run: async (items) => {
      if (items.includes(2)) throw new Error('2 cannot be stored')
      return items
    },
  })
  const outcomes = await Promise.allSettled([1, 2, 3].map((item) => batch.add(item)))
  t.same(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
})
