import { type BundleSource, type Severity } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/**
 * Why trust with a peer ends, and whose: `we` = we no longer accept them, `they` = they no longer accept us.
 *
 * Every term answers the same question: if nothing new arrives on either side, when does it end?
 */
export const BREAK_REASONS = {
  'peer-authorities-end': 'we',
  'endpoint-unauthenticated': 'we',
  'consent-expires': 'both',
  'own-web-certificate': 'they',
  'own-authorities-end': 'they',
  'own-authority-unknown': 'they',
} as const satisfies Record<string, 'we' | 'they' | 'both'>

/** One of {@link BREAK_REASONS}. */
export type BreakReason = keyof typeof BREAK_REASONS

/** When an authority is valid, both ends included (RFC 5280 §4.1.2.5). */
export interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

/** How long a set of authorities lasts. */
export interface Coverage {
  /** The last moment, from now on without a gap, at which one is valid; in the past when none is valid now. */
  readonly endsAt: Date
  /** The next end of one that is valid now: what it signed is refused from then on. A warning, no break. */
  readonly firstEndAt: Date | undefined
  /** Whole life of the authority that ends at `endsAt`. */
  readonly lifeSeconds: number
}

/** One trust domain of a peer. */
export interface ForecastDomain {
  readonly trustDomain: TrustDomain
  readonly source: BundleSource
  /** What of its bundle is accepted now, distrusted keys left out; absent before the first. */
  readonly bundle:
    { readonly receivedAt: Date; readonly authorities: readonly Validity[] } | undefined
  /** Of an https_spiffe endpoint: the domain that it stands in, and what we hold of that one. */
  readonly endpoint:
    { readonly trustDomain: TrustDomain; readonly authorities: readonly Validity[] } | undefined
}

/** What the peer needs of us. */
export interface ForecastOwn {
  /** Our bundle endpoint's web certificate, where its profile is https_web. */
  readonly webCertificate:
    { readonly endsAt: Date; readonly host: string; readonly isCovered: boolean } | undefined
  /** Our bundle as the peer last fetched it by its own URL; absent when its fetches cannot be seen. */
  readonly held:
    | {
        readonly trustDomain: TrustDomain
        readonly sequence: bigint
        readonly authorities: readonly Validity[]
        /** When a key began to sign that is not in what they hold. */
        readonly unknownSince: Date | undefined
      }
    | undefined
}

/** What a forecast follows from. */
export interface ForecastFacts {
  readonly expiresAt: Date | undefined
  readonly domains: readonly ForecastDomain[]
  readonly own: ForecastOwn
}

/** One way in which trust ends, and when. */
export interface ForecastTerm {
  readonly at: Date
  readonly reason: BreakReason
  readonly trustDomain: TrustDomain | undefined
  readonly detail: string
  /** Life of the authority that ends; absent for what has none. */
  readonly lifeSeconds: number | undefined
}

/**
 * Every way in which trust with a peer ends if nothing new arrives, the earliest first. Pure.
 *
 * - `peer-authorities-end`: the last of the domain's X.509 authorities that we hold ends. Not the first: what is
 *   signed under the others is accepted on. JWT authorities have no end, so a domain with nothing else has no term.
 * - `endpoint-unauthenticated`: the last anchor of the endpoint's domain ends, so no further fetch over
 *   https_spiffe can be authenticated and only another way helps (FE-26). For an endpoint in its own domain that is
 *   the same moment and one term. Certificates of https_web endpoints are renewed by the peer and not forecast.
 * - `consent-expires`: the relationship's own end.
 * - `own-web-certificate`: from then on peers cannot fetch from our https_web endpoint.
 * - `own-authorities-end`: the last of our X.509 authorities in the revision that the peer holds ends.
 * - `own-authority-unknown`: a key of ours signs that the revision which the peer holds does not have.
 */
export function forecast(facts: ForecastFacts, now: Date): ForecastTerm[] {
  return [
    ...facts.domains.flatMap((domain) => domainTerms(domain, now)),
    ...consentTerms(facts.expiresAt),
    ...webTerms(facts.own.webCertificate, now),
    ...heldTerms(facts.own.held, now),
  ].toSorted((one, other) => one.at.getTime() - other.at.getTime())
}

/** How long these authorities last; undefined without any. */
export function coverageOf(authorities: readonly Validity[], now: Date): Coverage | undefined {
  if (authorities.length === 0) return undefined
  const living = authorities.filter(
    ({ notBefore, notAfter }) => notBefore <= now && now <= notAfter,
  )
  const last = living.length === 0 ? latestEnded(authorities, now) : lastOf(authorities, now)
  const ends = living.map(({ notAfter }) => notAfter.getTime())
  return {
    endsAt: last?.notAfter ?? now,
    firstEndAt: ends.length === 0 ? undefined : new Date(Math.min(...ends)),
    lifeSeconds: last === undefined ? 0 : lifeOf(last),
  }
}

/** Ends nearer than this are told of. */
const WARNING_SECONDS = 72 * 3600
const CRITICAL_SECONDS = 24 * 3600

/**
 * How urgent the end of an authority is: a warning from 72 h, critical from 24 h before.
 *
 * Of authorities that live shorter than nine days a third and a sixth of their life count instead: a peer that
 * publishes successors at half life, as SPIRE does, is never warned of while all is well.
 */
export function urgencyOf(
  { at, lifeSeconds }: Pick<ForecastTerm, 'at' | 'lifeSeconds'>,
  now: Date,
): Severity | undefined {
  const remaining = (at.getTime() - now.getTime()) / 1000
  const life = lifeSeconds === undefined || lifeSeconds === 0 ? Infinity : lifeSeconds
  if (remaining < Math.min(CRITICAL_SECONDS, life / 6)) return 'critical'
  return remaining < Math.min(WARNING_SECONDS, life / 3) ? 'warning' : undefined
}

function domainTerms(domain: ForecastDomain, now: Date): ForecastTerm[] {
  const { trustDomain, bundle, endpoint } = domain
  if (bundle === undefined) return []
  const own = coverageOf(bundle.authorities, now)
  const isSelfServing = endpoint?.trustDomain === trustDomain
  const terms: ForecastTerm[] = []
  if (own !== undefined) terms.push(authoritiesEnd(trustDomain, own, { isSelfServing }))
  if (endpoint === undefined || (isSelfServing && own !== undefined)) return terms
  return [...terms, endpointTerm({ trustDomain, endpoint, since: bundle.receivedAt }, now)]
}

function authoritiesEnd(
  trustDomain: TrustDomain,
  { endsAt, lifeSeconds }: Coverage,
  { isSelfServing }: { readonly isSelfServing: boolean },
): ForecastTerm {
  const so = isSelfServing ? ', and its bundle endpoint can no longer be authenticated' : ''
  return {
    at: endsAt,
    reason: 'peer-authorities-end',
    trustDomain,
    detail: `the last X.509 authority of ${trustDomain} that we hold ends: its SVIDs are refused here${so}`,
    lifeSeconds,
  }
}

function endpointTerm(
  about: {
    readonly trustDomain: TrustDomain
    readonly endpoint: NonNullable<ForecastDomain['endpoint']>
    readonly since: Date
  },
  now: Date,
): ForecastTerm {
  const { trustDomain, endpoint, since } = about
  const coverage = coverageOf(endpoint.authorities, now)
  const what =
    coverage === undefined
      ? `we hold no X.509 authority of ${endpoint.trustDomain}`
      : `the last X.509 authority of ${endpoint.trustDomain} that we hold ends`
  return {
    at: coverage?.endsAt ?? since,
    reason: 'endpoint-unauthenticated',
    trustDomain,
    detail: `${what}: the bundle endpoint of ${trustDomain} can no longer be authenticated`,
    lifeSeconds: coverage?.lifeSeconds,
  }
}

function consentTerms(expiresAt: Date | undefined): ForecastTerm[] {
  if (expiresAt === undefined) return []
  const detail = 'the relationship expires and is terminated'
  return [
    {
      at: expiresAt,
      reason: 'consent-expires',
      trustDomain: undefined,
      detail,
      lifeSeconds: undefined,
    },
  ]
}

function webTerms(web: ForecastOwn['webCertificate'], now: Date): ForecastTerm[] {
  if (web === undefined) return []
  const detail = web.isCovered
    ? `our web certificate ends: they can no longer fetch our bundle from ${web.host}`
    : `our web certificate does not name ${web.host}: they cannot fetch our bundle`
  return [
    {
      at: web.isCovered ? web.endsAt : now,
      reason: 'own-web-certificate',
      trustDomain: undefined,
      detail,
      lifeSeconds: undefined,
    },
  ]
}

function heldTerms(held: ForecastOwn['held'], now: Date): ForecastTerm[] {
  if (held === undefined) return []
  const { trustDomain, sequence, unknownSince } = held
  const terms: ForecastTerm[] = []
  const coverage = coverageOf(held.authorities, now)
  if (coverage !== undefined) {
    terms.push({
      at: coverage.endsAt,
      reason: 'own-authorities-end',
      trustDomain,
      detail: `the last X.509 authority in sequence ${sequence} of ${trustDomain}, the newest that they fetched, ends: they refuse our SVIDs`,
      lifeSeconds: coverage.lifeSeconds,
    })
  }
  if (unknownSince === undefined) return terms
  const detail = `they hold sequence ${sequence} of ${trustDomain}, without a key that we sign with: they refuse what it signed`
  const reason = 'own-authority-unknown'
  return [...terms, { at: unknownSince, reason, trustDomain, detail, lifeSeconds: undefined }]
}

/** The authority at whose end the unbroken validity that holds at `now` ends. */
function lastOf(authorities: readonly Validity[], now: Date): Validity | undefined {
  let last: Validity | undefined
  for (;;) {
    const from = last?.notAfter ?? now
    const next = latest(authorities.filter((one) => one.notBefore <= from && one.notAfter >= from))
    if (next === undefined || next.notAfter.getTime() === last?.notAfter.getTime()) return last
    last = next
  }
}

function latestEnded(authorities: readonly Validity[], now: Date): Validity | undefined {
  return latest(authorities.filter(({ notAfter }) => notAfter < now))
}

function latest(authorities: readonly Validity[]): Validity | undefined {
  return authorities.reduce<Validity | undefined>(
    (best, one) => (best === undefined || one.notAfter > best.notAfter ? one : best),
    undefined,
  )
}

function lifeOf({ notBefore, notAfter }: Validity): number {
  return (notAfter.getTime() - notBefore.getTime()) / 1000
}
