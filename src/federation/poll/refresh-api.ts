import { type Static, Type } from 'typebox'
import { RelationshipBody } from '../api.ts'

const TextOrNull = Type.Union([Type.String(), Type.Null()])

/** Body of `POST …/relationships/{name}/refresh`. */
export const RefreshBody = Type.Object(
  {
    acceptLowerSequence: Type.Optional(
      Type.Boolean({
        description: 'take a bundle although its sequence went back, this once; audited',
      }),
    ),
  },
  { additionalProperties: false },
)

/** How the poll of one domain ended. */
export const RefreshOutcomeBody = Type.Object({
  trustDomain: Type.String(),
  outcome: Type.Union([
    Type.Literal('accepted'),
    Type.Literal('unchanged'),
    Type.Literal('quarantined'),
    Type.Literal('failed'),
    Type.Literal('discarded'),
  ]),
  sequence: TextOrNull,
  warnings: Type.Array(Type.String()),
  error: Type.Union([
    Type.Object({ code: Type.String(), message: Type.String(), next: TextOrNull }),
    Type.Null(),
  ]),
})

/** What a refresh did. */
export const RefreshedBody = Type.Object({
  outcomes: Type.Array(RefreshOutcomeBody),
  relationship: RelationshipBody,
})

/** The answer to a refresh. */
export type RefreshedView = Static<typeof RefreshedBody>
