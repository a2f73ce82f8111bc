import t from 'tap'
import { Throttle } from '../../src/access/throttle.ts'
import { testClock } from '../support/clock.ts'

t.test('twenty failures in a minute make a source wait for the end of that minute', async (t) => {
  const clock = testClock()
  const throttle = new Throttle(clock)
  for (let i = 1; i <= 19; i += 1) t.notOk(throttle.failed('a'))
  t.equal(throttle.waitSeconds('a'), 0)
  await clock.advance(10_000)
  t.ok(throttle.failed('a'), 'the twentieth closes the door')
  t.equal(throttle.waitSeconds('a'), 50)
  t.notOk(throttle.failed('a'), 'said once')
  t.equal(throttle.waitSeconds('b'), 0, 'for that source only')
  await clock.advance(50_000)
  t.equal(throttle.waitSeconds('a'), 0)
})

t.test('many sources do not fill the memory', async (t) => {
  const throttle = new Throttle(testClock())
  for (let i = 0; i < 20_000; i += 1) throttle.failed(`10.0.${i >> 8}.${i & 255}`)
  t.equal(throttle.size, 10_000)
})
