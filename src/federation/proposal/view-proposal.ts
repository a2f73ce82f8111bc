import { changesOf, digestOfParameters, type Proposal } from './proposal.ts'
import { type ProposalView } from './proposal-api.ts'
import { type Relationship } from '../relationship.ts'

/** A proposal as the API shows it, beside the relationship before it. */
export function viewProposal(relationship: Relationship, proposal: Proposal): ProposalView {
  const { id, origin, parameters, ourConsent, theirConsent, note, createdAt, createdBy } = proposal
  return {
    id,
    digest: digestOfParameters(parameters),
    origin,
    ourConsent,
    theirConsent,
    note: note ?? null,
    createdAt: createdAt.toISOString(),
    createdBy,
    changes: changesOf(relationship, parameters).map(({ trustDomain, what, before, after }) => ({
      trustDomain,
      what,
      before: before ?? null,
      after: after ?? null,
    })),
  }
}
