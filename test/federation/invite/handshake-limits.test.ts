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

t.test(
  'one address sends 100 messages at once and 5 a second, and others are not closed out',
  async (t) => {
    const clock = testClock()
    const limits = new HandshakeLimits(clock)
    const from = (address: string) => () => limits.takeForSource(address)
    t.equal(allowed(10_000, from('10.0.0.1')), 100)
    t.throws(from('10.0.0.1'), { code: 'RATE_LIMITED', retryAfterSeconds: 1 })
    t.equal(allowed(1000, from('10.0.0.2')), 100, 'what was refused cost nobody else')
    t.equal(allowed(1000, from('::ffff:10.0.0.2')), 0, 'the same address')
    t.equal(allowed(1000, from('2001:db8:0:1::1')), 100)
    t.equal(allowed(1000, from('2001:db8:0:1:ffff::2')), 0, 'the same /64')
    await clock.advance(1000)
    t.equal(allowed(1000, from('10.0.0.1')), 5)
  },
)

t.test(
  'a process looks at 800 messages at once and 40 a second, of however many addresses',
  async (t) => {
    const clock = testClock()
    const limits = new HandshakeLimits(clock)
    let last = 0
    const another = () => limits.takeForSource(`10.0.${(last += 1) >> 8}.${last & 255}`)
    t.equal(allowed(3000, another), 800)
    await clock.advance(1000)
    t.equal(allowed(3000, another), 40)
  },
)

t.test('a flood of addresses forgets no invite', async (t) => {
  const limits = new HandshakeLimits(testClock())
  t.equal(
    allowed(100, () => limits.takeFor('a')),
    20,
  )
  let last = 0
  allowed(30_000, () => limits.takeForSource(`source ${(last += 1)}`))
  t.equal(
    allowed(100, () => limits.takeFor('a')),
    0,
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
