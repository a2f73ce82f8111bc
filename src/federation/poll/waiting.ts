import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { isPolled, isUnproven, type Relationship, UNPROVEN_REASON } from '../relationship.ts'
import { fetchedDomains } from '../peer-bundle/revision-store.ts'

/**
 * What a relationship waits for until it can be active, one line per cause: consents, our operator, and one verified
 * bundle per domain. A bundle that a person gave is verified for a static domain; a bootstrap bundle is not, it only
 * authenticates the first fetch.
 */
export function waitingFor(
  relationship: Relationship,
  fetched: ReadonlySet<TrustDomain>,
): string[] {
  const { state, activatedAt } = relationship
  if (state === 'active' || state === 'terminated') return []
  const bundles = activatedAt === undefined ? missingBundles(relationship, fetched) : []
  const proof = isUnproven(relationship) ? [`the inviter's signed answer: ${UNPROVEN_REASON}`] : []
  return [...proof, ...missingConsents(relationship), ...bundles]
}

function missingConsents({ ourConsent, theirConsent, onHold }: Relationship): string[] {
  const waiting: string[] = []
  if (ourConsent === 'withdrawn') waiting.push('our consent, which we withdrew')
  else if (ourConsent !== 'given') waiting.push('our consent')
  if (theirConsent === 'withdrawn') waiting.push("the peer's consent, which it withdrew")
  else if (theirConsent === 'pending') waiting.push("the peer's consent")
  if (onHold) waiting.push('our operator, who suspended it')
  return waiting
}

function missingBundles({ domains }: Relationship, fetched: ReadonlySet<TrustDomain>): string[] {
  return domains
    .filter(({ source, trustDomain }) => isPolled(source) && !fetched.has(trustDomain))
    .map(({ trustDomain }) => `a first verified bundle of ${trustDomain}`)
}

/** Whether every domain of a relationship had a verified bundle; one that was active once had. */
export async function hasVerifiedBundles(db: Db, relationship: Relationship): Promise<boolean> {
  if (relationship.activatedAt !== undefined) return true
  const fetched = await fetchedDomains(db, relationship.meshId, relationship.id)
  return missingBundles(relationship, fetched).length === 0
}
