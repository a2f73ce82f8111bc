import { type ForecastView, type RelationshipView } from '../api.ts'
import { BREAK_REASONS, type Coverage, forecast, type ForecastTerm } from './forecast.ts'
import { type ForecastDeps, type InForce, readForecastFacts } from './forecast-facts.ts'
import { type Relationship } from '../relationship.ts'

/** The members of a relationship's view that tell when trust ends. */
export type ForecastMembers = Pick<
  RelationshipView,
  'trustBreaksAt' | 'trustBreaksBecause' | 'forecast'
>

/** When trust with each of these relationships of one mesh ends, by id; of terminated ones it has ended. */
export async function forecastsOf(
  deps: ForecastDeps,
  { relationships, inForce }: { relationships: readonly Relationship[]; inForce: InForce },
  now: Date,
): Promise<(relationshipId: string) => ForecastMembers> {
  const standing = relationships.filter(({ state }) => state !== 'terminated')
  const facts = await readForecastFacts(deps, standing, inForce)
  return (relationshipId) => {
    const found = facts.get(relationshipId)
    return viewForecast(found === undefined ? [] : forecast(found, now))
  }
}

/** The ends of the authorities of a stored bundle, as the API shows them. */
export function viewCoverage(coverage: Coverage | undefined) {
  return {
    validationEndsAt: coverage?.endsAt.toISOString() ?? null,
    firstAuthorityEndsAt: coverage?.firstEndAt?.toISOString() ?? null,
  }
}

function viewForecast(terms: readonly ForecastTerm[]): ForecastMembers {
  const [first] = terms
  return {
    trustBreaksAt: first?.at.toISOString() ?? null,
    trustBreaksBecause: first?.detail ?? null,
    forecast: terms.map(viewTerm),
  }
}

function viewTerm({ at, reason, trustDomain, detail }: ForecastTerm): ForecastView {
  return {
    at: at.toISOString(),
    reason,
    stops: BREAK_REASONS[reason],
    trustDomain: trustDomain ?? null,
    detail,
  }
}
