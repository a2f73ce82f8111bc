import { type Static, Type } from 'typebox'
import { EndedRelationshipBody, NewDomainBody, RelationshipBody } from '../api.ts'
import { ProposalBody } from './proposal-api.ts'

/** Body of `POST …/relationships/{name}/proposals`: all domains as they are to be. */
export const ProposeChangeBody = Type.Object(
  {
    domains: Type.Array(NewDomainBody, {
      minItems: 1,
      maxItems: 16,
      description: 'all of them; a trust domain that stays needs no bundle',
    }),
    note: Type.Optional(Type.String({ maxLength: 2000 })),
  },
  { additionalProperties: false },
)

/** What became of a proposal. */
export const ProposedBody = Type.Object({
  relationship: RelationshipBody,
  proposal: ProposalBody,
  isApplied: Type.Boolean({ description: 'whether its parameters are in force now' }),
  next: EndedRelationshipBody.properties.next,
})

/** The answer to a proposal or a decision on one. */
export type ProposedView = Static<typeof ProposedBody>
