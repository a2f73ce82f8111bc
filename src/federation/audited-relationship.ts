import { type ReadDocument } from './poll/accept-bundle.ts'
import { writeOwnerData } from './owner-data.ts'
import { writeRecovery } from './recovery/recovery.ts'
import { type Relationship, type RelationshipDomain } from './relationship.ts'

/** The part of a relationship that audit records show: every pinned parameter (FE-08). */
export function auditedRelationship(
  relationship: Relationship,
  domains: readonly (Omit<RelationshipDomain, 'readerId' | 'relayId' | 'firstDigest'> & {
    readonly given?: ReadDocument | undefined
  })[] = relationship.domains,
): Record<string, unknown> {
  return {
    name: relationship.name,
    peerMeshName: relationship.peerMeshName ?? null,
    ourConsent: relationship.ourConsent,
    theirConsent: relationship.theirConsent,
    changePolicy: relationship.changePolicy,
    hintMinSeconds: relationship.hintMinSeconds ?? null,
    hintMaxSeconds: relationship.hintMaxSeconds ?? null,
    ...writeOwnerData(relationship),
    domains: domains.map(({ trustDomain, source, endpointUrl, endpointId, recovery, given }) => ({
      trustDomain,
      source,
      endpointUrl: endpointUrl ?? null,
      endpointSpiffeId: endpointId ?? null,
      recovery: recovery.map(writeRecovery),
      ...(given === undefined
        ? {}
        : { givenBundleDigest: Buffer.from(given.digest).toString('hex') }),
    })),
  }
}
