import t from 'tap'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { DEFAULT_RATE_LIMITS, RateLimiter, type RateLimits } from '../../src/svid/rate-limit.ts'
import { testClock } from '../support/clock.ts'
import { csrOf, issuingService } from './issuing-service.ts'

const WIDE = { perSecond: 1e9, burst: 1e9 }
const limits: RateLimits = {
  perService: { perSecond: 100, burst: 100 },
  perMesh: { perSecond: 50, burst: 60 },
  perEntry: { perSecond: 1, burst: 2 },
  perSource: { perSecond: 0.1, burst: 1 },
}
const LIMITED = { code: 'RATE_LIMITED' }
const of = (spiffeId: string, meshId = 'acme') => ({ meshId, spiffeId })

t.test('a bucket empties, tells how long to wait, and fills again', async (t) => {
  const clock = testClock()
  const limiter = new RateLimiter({ clock, limits })
  limiter.takeForRenewal(of('a'))
  limiter.takeForQuestion(of('a'))
  t.throws(() => limiter.takeForRenewal(of('a')), { ...LIMITED, retryAfterSeconds: 1 })
  t.throws(() => limiter.takeForQuestion(of('a')), { ...LIMITED, retryAfterSeconds: 1 })
  limiter.takeForRenewal(of('b'))
  await clock.advance(1000)
  limiter.takeForRenewal(of('a'))
  t.throws(() => limiter.takeForRenewal(of('a')), LIMITED)
  limiter.takeForSource('10.0.0.1')
  t.throws(() => limiter.takeForSource('10.0.0.1'), { ...LIMITED, retryAfterSeconds: 10 })
  limiter.takeForSource('10.0.0.2')
})

t.test('rates are shared among replicas', async (t) => {
  const clock = testClock()
  const limiter = new RateLimiter({ clock, limits, replicas: () => 2 })
  limiter.takeForRenewal(of('a'))
  t.throws(() => limiter.takeForRenewal(of('a')), { ...LIMITED, retryAfterSeconds: 2 })
})

t.test(
  'the service as a whole has a limit of its own, for those who are not known too',
  async (t) => {
    const met: string[] = []
    const onRefused = (limit: string): void => void met.push(limit)
    const limiter = new RateLimiter({ clock: testClock(), limits, onRefused })
    for (let index = 0; index < 100; index += 1) {
      limiter.takeForRenewal(of(`e${index}`, `mesh-${index % 2}`))
      limiter.takeForSource(`10.0.0.${index}`)
    }
    t.throws(() => limiter.takeForRenewal(of('other', 'm')), {
      ...LIMITED,
      message: /this service/,
    })
    t.throws(() => limiter.takeForSource('10.0.1.1'), { ...LIMITED, message: /this service/ })
    t.same(met, ['service', 'service'], 'which limit was met is counted')
  },
)

t.test('a mesh at its limit waits, and another mesh does not', async (t) => {
  const clock = testClock()
  const met: string[] = []
  const onRefused = (limit: string): void => void met.push(limit)
  const limiter = new RateLimiter({ clock, limits, onRefused })
  for (let index = 0; index < 60; index += 1) limiter.takeForRenewal(of(`e${index}`))
  const refused = { ...LIMITED, message: /this mesh/, retryAfterSeconds: 1 }
  for (let index = 0; index < 200; index += 1) {
    t.throws(() => limiter.takeForRenewal(of(`more-${index}`)), refused)
    t.throws(() => limiter.takeForQuestion(of(`more-${index + 300}`)), refused)
    t.throws(() => limiter.takeForFirst('acme'), refused)
  }
  t.equal(met.length, 600)
  t.ok(met.every((limit) => limit === 'mesh'))
  for (let index = 0; index < 40; index += 1) {
    t.doesNotThrow(() => limiter.takeForRenewal(of(`g${index}`, 'globex')))
  }
  await clock.advance(1000)
  t.doesNotThrow(() => limiter.takeForRenewal(of('e0')), 'a second later there is room again')
})

t.test('first SVIDs and questions leave half of a mesh to those who renew', async (t) => {
  for (const first of ['takeForFirst', 'takeForQuestion'] as const) {
    const limiter = new RateLimiter({ clock: testClock(), limits })
    let taken = 0
    t.throws(() => {
      for (; taken < 1000; taken += 1) {
        if (first === 'takeForFirst') limiter.takeForFirst('acme')
        else limiter.takeForQuestion(of(`q${taken}`))
      }
    }, LIMITED)
    t.equal(taken, 30, 'half of what may come at once')
    for (let index = 0; index < 29; index += 1) limiter.takeForRenewal(of(`e${index}`))
    t.throws(() => limiter.takeForFirst('acme'), LIMITED)
  }
})

t.test('first SVIDs of all meshes leave half of the service to those who renew', async (t) => {
  const limiter = new RateLimiter({ clock: testClock(), limits: { ...limits, perMesh: WIDE } })
  let taken = 0
  t.throws(
    () => {
      for (; taken < 1000; taken += 1) limiter.takeForFirst(`mesh-${taken}`)
    },
    { ...LIMITED, message: /this service/ },
  )
  t.equal(taken, 50)
  for (let index = 0; index < 49; index += 1) limiter.takeForRenewal(of(`e${index}`))
})

t.test('one mesh at the limit that is set by default leaves the others half', async (t) => {
  const { perMesh, perService } = DEFAULT_RATE_LIMITS
  t.equal(perMesh.perSecond * 2, perService.perSecond)
  t.equal(perMesh.burst * 2, perService.burst)
})

t.test('one who is over its own limit uses up nothing of what all share', async (t) => {
  const limiter = new RateLimiter({ clock: testClock(), limits })
  limiter.takeForSource('10.0.0.1')
  limiter.takeForRenewal(of('loop'))
  limiter.takeForRenewal(of('loop'))
  for (let index = 0; index < 200; index += 1) {
    t.throws(() => limiter.takeForSource('10.0.0.1'), { ...LIMITED, message: /your address/ })
    t.throws(() => limiter.takeForRenewal(of('loop')), { ...LIMITED, message: /this identity/ })
  }
  t.doesNotThrow(() => limiter.takeForRenewal(of('another')))
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
  const limiter = new RateLimiter({ clock: testClock(), limits: { ...limits, perService: WIDE } })
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

t.test('while new workloads of a mesh wait, one that exists goes on renewing', async (t) => {
  const wide = { perService: WIDE, perEntry: WIDE, perSource: WIDE }
  const ofMesh = { ...wide, perMesh: { perSecond: 0.1, burst: 6 } }
  const { call, join, token, clock } = await issuingService(t, {
    deps: (deps) => ({ ...deps, limiter: new RateLimiter({ clock: deps.clock, limits: ofMesh }) }),
  })
  const one = await join('/one')
  const another = await token('/another')
  const ask = (body: object, as?: typeof one) =>
    call('POST', '/svids/x509', { body, ...(as === undefined ? {} : { as }) })
  const csr = csrOf(generateKeyPair())
  await join('/two')
  t.equal((await ask({ csr, token: 'no token of ours' })).status, 403)
  await join('/three')
  t.match(await ask({ csr, token: another }), {
    status: 429,
    body: { code: 'RATE_LIMITED', detail: /this mesh/ },
    headers: { 'retry-after': '5' },
  })
  t.equal((await ask({ csr: csrOf(one.keys) }, one)).status, 200, 'a renewal')
  const jwt = await call('POST', '/svids/jwt', { body: { audience: ['x'] }, as: one })
  t.equal(jwt.status, 200, 'a JWT-SVID')
  await clock.advance(25_000)
  t.equal((await ask({ csr, token: another })).status, 200, 'the token is as good as before')
})
