import fc from 'fast-check'
import t from 'tap'
import {
  type PollRhythm,
  pollIntervalSeconds,
  waitMs,
} from '../../../src/federation/poll/next-poll.ts'

const rhythm = (change: Partial<PollRhythm> = {}): PollRhythm => ({
  pollMinSeconds: 60,
  hintMinSeconds: undefined,
  hintMaxSeconds: undefined,
  hintSeconds: 300,
  failures: 0,
  changesLastHour: 0,
  ...change,
})
const interval = (change: Partial<PollRhythm>) => pollIntervalSeconds(rhythm(change))

t.test('FE-34 a peer is polled at its hint, within our limits', async (t) => {
  t.equal(interval({ hintSeconds: 300 }), 300)
  t.equal(interval({ hintSeconds: 7200 }), 7200)
  t.equal(interval({ hintSeconds: 1 }), 60)
  t.equal(interval({ hintSeconds: 10 ** 7 }), 24 * 3600)
  t.equal(interval({ hintSeconds: 300, hintMaxSeconds: 120 }), 120)
  t.equal(interval({ hintSeconds: 300, hintMinSeconds: 900 }), 900)
  t.equal(interval({ hintSeconds: 300, hintMaxSeconds: 10 }), 60, 'never below the floor')
})

t.test('BU-14 FE-34 without a hint the interval is five minutes', async (t) => {
  t.equal(interval({ hintSeconds: undefined }), 300)
})

t.test(
  'FE-35 an hour of failures keeps the interval; then it grows up to fourfold, an hour at most',
  async (t) => {
    for (const failures of [0, 1, 5, 11]) t.equal(interval({ failures }), 300)
    t.equal(interval({ failures: 12 }), 600)
    t.equal(interval({ failures: 36 }), 1200)
    t.equal(interval({ failures: 10_000 }), 1200)
    t.equal(interval({ hintSeconds: 2000, failures: 100 }), 3600)
    t.equal(interval({ hintSeconds: 7200, failures: 100 }), 7200)
  },
)

t.test('a peer that changes more than 20 times an hour is polled slowest', async (t) => {
  t.equal(interval({ changesLastHour: 20 }), 300)
  t.equal(interval({ changesLastHour: 21 }), 3600)
  t.equal(interval({ changesLastHour: 21, hintSeconds: 7200 }), 7200)
})

t.test(
  'BU-14 FE-34 whatever the hint, the interval stays within bounds and the wait below it',
  async (t) => {
    const arbitrary = fc.record({
      hintSeconds: fc.option(fc.integer({ min: 1, max: 10 ** 9 }), { nil: undefined }),
      hintMinSeconds: fc.option(fc.integer({ min: 1, max: 86_400 }), { nil: undefined }),
      hintMaxSeconds: fc.option(fc.integer({ min: 1, max: 86_400 }), { nil: undefined }),
      failures: fc.nat(10 ** 6),
      changesLastHour: fc.nat(100),
      random: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    fc.assert(
      fc.property(arbitrary, ({ random, ...change }) => {
        const seconds = interval(change)
        const wait = waitMs(seconds, random)
        return seconds >= 60 && seconds <= 86_400 && wait <= seconds * 1000 && wait >= seconds * 900
      }),
      { seed: 20_270_115 },
    )
    t.pass()
  },
)
