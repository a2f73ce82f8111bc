import { type Static, Type } from 'typebox'

const TextOrNull = Type.Union([Type.String(), Type.Null()])

/** Body of `POST /v1/egress-rules`. */
export const CreateEgressRuleBody = Type.Object(
  {
    rule: Type.String({
      minLength: 1,
      maxLength: 300,
      description: '10.20.0.0/16, 10.0.0.7:8443, fd00::/8, localhost or peer.internal:8443',
    }),
    meshId: Type.Optional(
      Type.String({ maxLength: 63, description: 'only for connections of this mesh' }),
    ),
    note: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { additionalProperties: false },
)

/** A line of the allow list. */
export const EgressRuleBody = Type.Object({
  id: Type.Union([Type.String(), Type.Null()], {
    description: 'null for a line of the configuration',
  }),
  rule: Type.String(),
  meshId: TextOrNull,
  note: TextOrNull,
  source: Type.Union([Type.Literal('configuration'), Type.Literal('setting')]),
  createdAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})

/** A line that was just written, and what to do with it. */
export const CreatedEgressRuleBody = Type.Object({
  ...EgressRuleBody.properties,
  next: Type.Array(Type.String({ description: 'a useful command' })),
})

/** A line of the allow list on the wire. */
export type EgressRuleView = Static<typeof EgressRuleBody>
/** The answer to the writing of a line. */
export type CreatedEgressRuleView = Static<typeof CreatedEgressRuleBody>
