import { quoted, ServiceError } from '../errors.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type Relationship } from './relationship.ts'
import { type DomainKey } from './peer-bundle/revision-store.ts'

/** The key of a trust domain of this relationship; throws NOT_FOUND naming those that it has. */
export function domainKeyOf(
  { id, name, domains }: Relationship,
  trustDomain: TrustDomain,
): DomainKey {
  if (domains.some((domain) => domain.trustDomain === trustDomain)) {
    return { relationshipId: id, trustDomain }
  }
  const known = domains.map((domain) => domain.trustDomain).join(', ')
  throw new ServiceError(
    'NOT_FOUND',
    `relationship ${name} has no trust domain ${quoted(trustDomain)}; it has ${known}`,
    { next: `entente federation show ${name}` },
  )
}
