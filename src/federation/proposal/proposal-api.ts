import { type Static, Type } from 'typebox'

const TextOrNull = Type.Union([Type.String(), Type.Null()])

/** A change of pinned parameters beside those in force. */
export const ProposalBody = Type.Object({
  id: Type.String(),
  digest: Type.String({ description: 'of its parameters; SHA-256, hex' }),
  origin: Type.Union([Type.Literal('ours'), Type.Literal('theirs')]),
  ourConsent: Type.Boolean(),
  theirConsent: Type.Boolean(),
  note: TextOrNull,
  createdAt: Type.String({ format: 'date-time' }),
  createdBy: Type.String(),
  changes: Type.Array(
    Type.Object({
      trustDomain: Type.String({ description: 'or `exchange`: who calls us and where we call' }),
      what: Type.Union([Type.Literal('added'), Type.Literal('removed'), Type.Literal('changed')]),
      before: TextOrNull,
      after: TextOrNull,
    }),
  ),
})

/** The open proposals of a relationship. */
export const ProposalsBody = Type.Object({ items: Type.Array(ProposalBody) })

/** A proposal on the wire. */
export type ProposalView = Static<typeof ProposalBody>
