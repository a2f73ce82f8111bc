import { type Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { type EndpointUrl, parseEndpointUrl } from '../../spiffe/endpoint-profile.ts'
import { parseSpiffeId } from '../../spiffe/spiffe-id.ts'
import { loadDraftContext } from '../load-draft-context.ts'
import { parseDomains } from '../parse-domains.ts'
import { type ProposedParameters } from './proposal.ts'
import { writeRecovery } from '../recovery/recovery.ts'
import { type Exchange, type NewDomain, type Relationship } from '../relationship.ts'

/** Parameters that may take the place of those in force. */
export interface JudgedParameters {
  readonly domains: readonly NewDomain[]
  readonly exchange: Exchange | undefined
}

/**
 * Judges proposed parameters as those of a new relationship; a trust domain that stays needs no bundle while the
 * stored one can authenticate, and keeps its recovery paths where none are named. Throws what judging a new relationship throws.
 */
export async function judgeParameters(
  db: Db,
  relationship: Relationship,
  { parameters, now }: { readonly parameters: ProposedParameters; readonly now: Date },
): Promise<JudgedParameters> {
  const { name, changePolicy, purpose, meshId } = relationship
  if (parameters.domains.some(({ source }) => source === 'local')) throw neverLocal()
  const before = new Map(relationship.domains.map((one) => [one.trustDomain as string, one]))
  const domains = parameters.domains.map((domain) => ({
    ...domain,
    recovery: domain.recovery ?? before.get(domain.trustDomain)?.recovery.map(writeRecovery) ?? [],
  }))
  const draft = { name, changePolicy, domains }
  const subject = { draft, purpose, now, changing: relationship }
  const judged = parseDomains(draft, await loadDraftContext(db, meshId, subject))
  return { domains: judged, exchange: exchangeOf(parameters.exchange) ?? relationship.exchange }
}

function exchangeOf(exchange: ProposedParameters['exchange']): Exchange | undefined {
  if (exchange === undefined) return undefined
  const url: EndpointUrl = parseEndpointUrl(exchange.url)
  return { id: parseSpiffeId(exchange.id), url }
}

function neverLocal(): ServiceError {
  return new ServiceError(
    'RELATIONSHIP_INVALID',
    'source local is chosen when a relationship is made and cannot be proposed',
    { next: 'terminate the relationship, delete it, and add it with source local' },
  )
}
