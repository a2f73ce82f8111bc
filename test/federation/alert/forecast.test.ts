import fc from 'fast-check'
import t from 'tap'
import {
  coverageOf,
  forecast,
  type ForecastFacts,
  type ForecastTerm,
  urgencyOf,
} from '../../../src/federation/alert/forecast.ts'
import { readCertificate } from '../../../src/pki/certificate.ts'
import { verifyX509Svid } from '../../../src/pki/verify-chain.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { forgeCa, forgeLeaf, HOUR, NOW } from '../../support/forge.ts'
import { seeded } from '../../support/seeded.ts'

const globex = parseTrustDomain('globex.example')
const hooli = parseTrustDomain('hooli.example')
const at = (hours: number): Date => new Date(NOW.getTime() + hours * HOUR)
const life = (from: number, to: number) => ({ notBefore: at(from), notAfter: at(to) })
const nothing = { webCertificate: undefined, held: undefined }
const facts = (change: Partial<ForecastFacts> = {}): ForecastFacts => ({
  expiresAt: undefined,
  domains: [],
  own: nothing,
  ...change,
})
const domain = (
  authorities: readonly { notBefore: Date; notAfter: Date }[],
  endpoint?: ForecastFacts['domains'][number]['endpoint'],
): ForecastFacts['domains'][number] => ({
  trustDomain: globex,
  source: endpoint === undefined ? 'https_web' : 'https_spiffe',
  bundle: { receivedAt: at(-10), authorities },
  endpoint,
})
const told = (terms: readonly ForecastTerm[]) => terms.map(({ reason, at }) => [reason, at])

t.test('trust ends with the last authority, and the first end is only shown', async (t) => {
  const authorities = [life(-1, 5), life(-1, 9)]
  t.match(coverageOf(authorities, NOW), { endsAt: at(9), firstEndAt: at(5), lifeSeconds: 36_000 })
  t.same(told(forecast(facts({ domains: [domain(authorities)] }), NOW)), [
    ['peer-authorities-end', at(9)],
  ])
})

t.test('a gap between two authorities is an end; one that follows at once is none', async (t) => {
  t.same(coverageOf([life(-1, 5), life(6, 9)], NOW)?.endsAt, at(5))
  t.same(coverageOf([life(-1, 5), life(5, 9)], NOW)?.endsAt, at(9))
})

t.test('what has ended already says since when; what is to come ends now', async (t) => {
  t.same(coverageOf([life(-9, -5), life(-9, -2)], NOW)?.endsAt, at(-2))
  t.same(coverageOf([life(1, 9)], NOW)?.endsAt, NOW)
  t.equal(coverageOf([], NOW), undefined)
})

t.test('an endpoint in its own domain is one term that says both', async (t) => {
  const authorities = [life(-1, 9)]
  const self = domain(authorities, { trustDomain: globex, authorities })
  const terms = forecast(facts({ domains: [self] }), NOW)
  t.equal(terms.length, 1)
  t.match(terms[0]?.detail, /SVIDs are refused here, and its bundle endpoint can no longer/)
})

t.test('an endpoint in another domain lasts as long as that domain does', async (t) => {
  const other = domain([life(-1, 90)], { trustDomain: hooli, authorities: [life(-1, 3)] })
  t.same(told(forecast(facts({ domains: [other] }), NOW)), [
    ['endpoint-unauthenticated', at(3)],
    ['peer-authorities-end', at(90)],
  ])
  const none = domain([life(-1, 90)], { trustDomain: hooli, authorities: [] })
  t.match(forecast(facts({ domains: [none] }), NOW)[0], {
    at: at(-10),
    detail: /we hold no X\.509 authority of hooli\.example/,
  })
})

t.test('consent, our web certificate and our keys as they hold them are terms', async (t) => {
  const held = {
    trustDomain: parseTrustDomain('acme.example'),
    sequence: 7n,
    authorities: [life(-5, 40)],
    unknownSince: at(-1),
  }
  const webCertificate = { endsAt: at(20), host: 'acme.example', isCovered: true }
  const whole = facts({ expiresAt: at(30), own: { webCertificate, held } })
  t.same(told(forecast(whole, NOW)), [
    ['own-authority-unknown', at(-1)],
    ['own-web-certificate', at(20)],
    ['consent-expires', at(30)],
    ['own-authorities-end', at(40)],
  ])
  const uncovered = { ...webCertificate, isCovered: false }
  t.same(told(forecast(facts({ own: { webCertificate: uncovered, held: undefined } }), NOW)), [
    ['own-web-certificate', NOW],
  ])
})

t.test('JWT keys have no end, so a domain with nothing else breaks at no moment', async (t) => {
  t.same(forecast(facts({ domains: [domain([])] }), NOW), [])
})

t.test(
  'long lives are told of 72 and 24 hours before, short ones at a third and a sixth',
  async (t) => {
    const year = 365 * 86_400
    t.equal(urgencyOf({ at: at(73), lifeSeconds: year }, NOW), undefined)
    t.equal(urgencyOf({ at: at(71), lifeSeconds: year }, NOW), 'warning')
    t.equal(urgencyOf({ at: at(23), lifeSeconds: year }, NOW), 'critical')
    t.equal(urgencyOf({ at: at(-1), lifeSeconds: year }, NOW), 'critical')
    const day = 86_400
    t.equal(
      urgencyOf({ at: at(12), lifeSeconds: day }, NOW),
      undefined,
      'a successor is published at half life: all is well',
    )
    t.equal(urgencyOf({ at: at(7), lifeSeconds: day }, NOW), 'warning')
    t.equal(urgencyOf({ at: at(3), lifeSeconds: day }, NOW), 'critical')
  },
)

/** A CA and a leaf under it that outlives it, so that only the authority's end counts. */
function signer(trustDomain: string, window: { notBefore: Date; notAfter: Date }) {
  const root = forgeCa({ subject: trustDomain, uri: `spiffe://${trustDomain}`, ...window })
  const leaf = forgeLeaf({
    issuer: root,
    uris: [`spiffe://${trustDomain}/web`],
    notBefore: at(-1000),
    notAfter: at(1000),
  })
  return { root, leaf }
}

type Signer = ReturnType<typeof signer>

const accepts = (signers: readonly Signer[], now: Date): boolean =>
  signers.some(({ leaf }) => {
    const anchors = signers.map(({ root }) => root.der)
    try {
      verifyX509Svid([leaf.der], { anchorsOf: () => anchors, now })
      return true
    } catch {
      return false
    }
  })

const windows = (signers: readonly Signer[]) =>
  signers.map(({ root }) => {
    const { notBefore, notAfter } = readCertificate(root.der)
    return { notBefore, notAfter }
  })

const LAST_HOUR = 40
const grid = fc
  .tuple(fc.integer({ min: -20, max: 20 }), fc.integer({ min: 1, max: 20 }))
  .map(([from, hours]) => life(from, from + hours))

t.test('the forecast is the moment at which a walk through time first fails', async (t) => {
  const scene = fc.record({
    peer: fc.array(grid, { minLength: 1, maxLength: 3 }),
    endpoint: fc.option(fc.array(grid, { minLength: 1, maxLength: 2 }), { nil: undefined }),
    expires: fc.option(fc.integer({ min: 1, max: LAST_HOUR }), { nil: undefined }),
  })
  seeded(
    t,
    fc.property(scene, ({ peer, endpoint, expires }) => {
      const peers = peer.map((window) => signer(globex, window))
      const vouchers = endpoint?.map((window) => signer(hooli, window))
      const expiresAt = expires === undefined ? undefined : at(expires)
      const works = (now: Date): boolean =>
        accepts(peers, now) &&
        (vouchers === undefined || accepts(vouchers, now)) &&
        (expiresAt === undefined || now <= expiresAt)
      const [first] = forecast(
        facts({
          expiresAt,
          domains: [
            domain(
              windows(peers),
              vouchers && { trustDomain: hooli, authorities: windows(vouchers) },
            ),
          ],
        }),
        NOW,
      )
      // Half an hour past each point of the grid: no edge is met exactly, and no gap is missed.
      for (let hour = 0; hour <= LAST_HOUR + 1; hour += 1) {
        const fails = !works(at(hour + 0.5))
        const foretold = first !== undefined && first.at < at(hour + 0.5)
        if (hour === 0 && !works(NOW)) return first !== undefined && first.at <= NOW
        if (fails || foretold) return fails && foretold
      }
      return false
    }),
    150,
  )
})
