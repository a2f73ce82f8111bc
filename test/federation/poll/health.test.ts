import t from 'tap'
import { decideHealth, type HealthFacts, worstHealth } from '../../../src/federation/poll/health.ts'

const now = new Date('2027-01-15T08:00:00Z')
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000)
const subject = { relationship: 'globex', trustDomain: 'globex.example' }
const decide = (change: Partial<HealthFacts> = {}) =>
  decideHealth(
    {
      source: 'https_spiffe',
      since: ago(86_400),
      lastSuccessAt: ago(100),
      lastError: undefined,
      failures: 0,
      intervalSeconds: 300,
      hasUsableAuthority: true,
      hasX509Authorities: true,
      ...change,
    },
    subject,
    now,
  )

t.test('a peer whose last poll succeeded is ok', async (t) => {
  t.same(decide(), { health: 'ok', reason: undefined, wayOut: undefined })
})

t.test('FE-36 a failed poll is failing, with its error and how to try again', async (t) => {
  const report = decide({ failures: 1, lastError: 'nothing listens at globex:8443' })
  t.match(report, { health: 'failing', reason: 'nothing listens at globex:8443' })
  t.match(report.wayOut, /the stored bundle stays in force.*entente federation refresh globex/)
  const first = { failures: 1, lastSuccessAt: undefined, hasX509Authorities: false }
  t.match(
    decide({ ...first, source: 'https_web' }).wayOut,
    /^no bundle is stored yet; to try again/,
  )
})

t.test('no success for three intervals and fifteen minutes is stale', async (t) => {
  const failing = { failures: 3, lastError: 'no route' }
  t.equal(decide({ ...failing, lastSuccessAt: ago(900) }).health, 'failing')
  t.match(decide({ ...failing, lastSuccessAt: ago(901) }), {
    health: 'stale',
    reason: /no poll has succeeded since .*: no route/,
  })
  t.equal(decide({ ...failing, lastSuccessAt: ago(901), intervalSeconds: 600 }).health, 'failing')
  t.equal(decide({ ...failing, lastSuccessAt: undefined, since: ago(901) }).health, 'stale')
  t.equal(decide({ ...failing, lastSuccessAt: undefined, since: ago(60) }).health, 'failing')
})

t.test(
  'FE-26 https_spiffe without a usable authority needs a new bootstrap, and says how',
  async (t) => {
    const empty = decide({ hasUsableAuthority: false, hasX509Authorities: false })
    t.match(empty, { health: 'needs-bootstrap', reason: /has no X\.509 authority/ })
    t.match(empty.wayOut, /entente bundle set globex --trust-domain globex\.example/)
    t.match(decide({ hasUsableAuthority: false }), {
      health: 'needs-bootstrap',
      reason: /has expired/,
    })
    t.equal(decide({ source: 'https_web', hasUsableAuthority: false }).health, 'ok')
  },
)

t.test('a static bundle needs a newer one when all its X.509 authorities have ended', async (t) => {
  t.equal(decide({ source: 'static', lastSuccessAt: undefined }).health, 'ok')
  t.equal(decide({ source: 'static', hasUsableAuthority: false }).health, 'needs-bootstrap')
  const jwtOnly = { hasUsableAuthority: false, hasX509Authorities: false }
  t.equal(decide({ source: 'static', ...jwtOnly }).health, 'ok')
})

t.test('the worst health of several domains is the relationship’s', async (t) => {
  const ok = decide()
  const failing = decide({ failures: 1 })
  const bootstrap = decide({ hasUsableAuthority: false })
  t.equal(worstHealth([ok, failing, bootstrap]).health, 'needs-bootstrap')
  t.equal(worstHealth([ok, failing]).health, 'failing')
  t.equal(worstHealth([]).health, 'ok')
})
