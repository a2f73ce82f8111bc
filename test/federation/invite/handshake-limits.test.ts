import t from 'tap'
import { HandshakeLimits } from '../../../src/federation/invite/handshake-limits.ts'
import { testClock } from '../../support/clock.ts'

const allowed = (count: number, take: () => void): number => {
  let passed = 0
  for (let i = 0; i < count; i += 1) {
    try {
      take()
      passed += 1
    } catch {
      // counted by what passed
    }
  }
  return passed
}

t.test('a process looks at 200 messages at once and 20 a second', async (t) => {
  const clock = testClock()
  const limits = new HandshakeLimits(clock)
  t.equal(
    allowed(1000, () => limits.takeAny()),
    200,
  )
  t.throws(() => limits.takeAny(), { code: 'RATE_LIMITED', retryAfterSeconds: 1 })
  await clock.advance(10_000)
  t.equal(
    allowed(1000, () => limits.takeAny()),
    200,
  )
  await clock.advance(1000)
  t.equal(
    allowed(1000, () => limits.takeAny()),
    20,
  )
})

t.test('one invite leads to 20 connections at once and one every two seconds', async (t) => {
  const clock = testClock()
  const limits = new HandshakeLimits(clock)
  t.equal(
    allowed(100, () => limits.takeFor('a')),
    20,
  )
  t.equal(
    allowed(100, () => limits.takeFor('b')),
    20,
    'another invite is not slowed down by it',
  )
  t.throws(() => limits.takeFor('a'), { code: 'RATE_LIMITED', retryAfterSeconds: 2 })
  await clock.advance(4000)
  t.equal(
    allowed(100, () => limits.takeFor('a')),
    2,
  )
})

t.test('what is remembered of invites is bounded', async (t) => {
  const limits = new HandshakeLimits(testClock())
  t.equal(
    allowed(100, () => limits.takeFor('first')),
    20,
  )
  for (let i = 0; i < 1000; i += 1) limits.takeFor(`invite-${i}`)
  t.equal(
    allowed(100, () => limits.takeFor('first')),
    20,
    'the one longest unused was forgotten',
  )
})
