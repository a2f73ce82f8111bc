import t from 'tap'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { RateLimiter } from '../../src/svid/rate-limit.ts'
import { testClock } from '../support/clock.ts'
import { csrOf, issuingService } from './issuing-service.ts'

const limits = {
  perProcess: { perSecond: 100, burst: 100 },
  perEntry: { perSecond: 1, burst: 2 },
  perSource: { perSecond: 0.1, burst: 1 },
}
const LIMITED = { code: 'RATE_LIMITED' }

t.test('a bucket empties, tells how long to wait, and fills again', async (t) => {
  const clock = testClock()
  const limiter = new RateLimiter({ clock, limits })
  limiter.takeForEntry('a')
  limiter.takeForEntry('a')
  t.throws(() => limiter.takeForEntry('a'), { ...LIMITED, retryAfterSeconds: 1 })
  limiter.takeForEntry('b')
  await clock.advance(1000)
  limiter.takeForEntry('a')
  t.throws(() => limiter.takeForEntry('a'), LIMITED)
  limiter.takeForSource('10.0.0.1')
  t.throws(() => limiter.takeForSource('10.0.0.1'), { ...LIMITED, retryAfterSeconds: 10 })
  limiter.takeForSource('10.0.0.2')
})

t.test('rates are shared among replicas', async (t) => {
  const clock = testClock()
  const limiter = new RateLimiter({ clock, limits, replicas: () => 2 })
  limiter.takeForEntry('a')
  t.throws(() => limiter.takeForEntry('a'), { ...LIMITED, retryAfterSeconds: 2 })
})

t.test('the process as a whole has a limit of its own', async (t) => {
  const limiter = new RateLimiter({ clock: testClock(), limits })
  for (let index = 0; index < 100; index += 1) limiter.takeForEntry(`e${index}`)
  t.throws(() => limiter.takeForEntry('another'), { ...LIMITED, message: /this service/ })
})

t.test('one who is over its own limit uses up nothing of what all share', async (t) => {
  const limiter = new RateLimiter({ clock: testClock(), limits })
  limiter.takeForSource('10.0.0.1')
  limiter.takeForEntry('loop')
  limiter.takeForEntry('loop')
  for (let index = 0; index < 200; index += 1) {
    t.throws(() => limiter.takeForSource('10.0.0.1'), { ...LIMITED, message: /your address/ })
    t.throws(() => limiter.takeForEntry('loop'), { ...LIMITED, message: /this identity/ })
  }
  t.doesNotThrow(() => limiter.takeForEntry('another'))
})

t.test('the addresses of one IPv6 network are one source', async (t) => {
  const limiter = new RateLimiter({ clock: testClock(), limits })
  limiter.takeForSource('2001:db8:0:1::1')
  t.throws(() => limiter.takeForSource('2001:db8:0:1:ffff::2'), LIMITED)
  limiter.takeForSource('2001:db8:0:2::1')
  limiter.takeForSource('::ffff:10.0.0.1')
  t.throws(() => limiter.takeForSource('10.0.0.1'), LIMITED)
  limiter.takeForSource('::ffff:10.0.0.2')
})

t.test('memory stays bounded however many ask', async (t) => {
  const wide = { ...limits, perProcess: { perSecond: 1e9, burst: 1e9 } }
  const limiter = new RateLimiter({ clock: testClock(), limits: wide })
  for (let index = 0; index < 50_000; index += 1) limiter.takeForSource(`s${index}`)
  t.doesNotThrow(() => limiter.takeForSource('s0'), 'the oldest was forgotten')
})

t.test('a refused request is a 429 with Retry-After, and costs the token nothing', async (t) => {
  const { call, token } = await issuingService(t, {
    deps: (deps) => ({ ...deps, limiter: new RateLimiter({ clock: deps.clock, limits }) }),
  })
  const ask = async (secret: string) =>
    call('POST', '/svids/x509', { body: { csr: csrOf(generateKeyPair()), token: secret } })
  t.equal((await ask(await token())).status, 200)
  t.match(await ask(await token()), {
    status: 429,
    body: { code: 'RATE_LIMITED' },
    headers: { 'retry-after': '10' },
  })
})
