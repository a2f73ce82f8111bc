import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { type Db } from '../db/schema.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type Relationship } from './relationship.ts'
import { fetchedDomains } from './revision-store.ts'
import { updateRelationship } from './store.ts'

/**
 * What a pending relationship waits for: consent, and one verified bundle per domain. A bundle that a person gave
 * is verified for a static domain; a bootstrap bundle is not, it only authenticates the first fetch.
 */
export function waitingFor(
  relationship: Relationship,
  fetched: ReadonlySet<TrustDomain>,
): string[] {
  if (relationship.state !== 'pending') return []
  const waiting: string[] = []
  if (relationship.ourConsent !== 'given') waiting.push('our consent')
  if (!['given', 'assumed'].includes(relationship.theirConsent)) waiting.push("the peer's consent")
  for (const { trustDomain, source } of relationship.domains) {
    if (source !== 'static' && !fetched.has(trustDomain)) {
      waiting.push(`a first verified bundle of ${trustDomain}`)
    }
  }
  return waiting
}

/** Makes a pending relationship active once it waits for nothing; answers whether it did. */
export async function activateIfReady(
  trx: Db,
  relationship: Relationship,
  { actor, now }: ChangeContext,
): Promise<boolean> {
  if (relationship.state !== 'pending') return false
  const fetched = await fetchedDomains(trx, relationship.meshId, relationship.id)
  if (waitingFor(relationship, fetched).length > 0) return false
  await updateRelationship(trx, {
    ...relationship,
    state: 'active',
    activatedAt: now,
    version: relationship.version + 1n,
  })
  await recordAudit(trx, {
    meshId: relationship.meshId,
    actor,
    action: 'relationship.activate',
    object: `relationship/${relationship.name}`,
    at: now,
    body: { ourConsent: relationship.ourConsent, theirConsent: relationship.theirConsent },
  })
  return true
}
