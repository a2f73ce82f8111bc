import { type Static, Type } from 'typebox'
import { DECISIONS, EXPLAINED_STEPS, OUTCOMES } from '../decision/answer.ts'

/** Query of `GET /v1/meshes/{meshId}/explain`. */
export const ExplainQuery = Type.Object(
  {
    service: Type.String({ maxLength: 127, description: 'namespace/name' }),
    caller: Type.Optional(
      Type.String({
        maxLength: 2048,
        description: 'SPIFFE ID; without it the question is who may see the service',
      }),
    ),
    of: Type.Optional(
      Type.String({
        maxLength: 63,
        description: 'the relationship whose service it is; default ours',
      }),
    ),
    to: Type.Optional(
      Type.String({
        maxLength: 63,
        description: "the relationship that asks; default the caller's, or ourselves",
      }),
    ),
    port: Type.Optional(Type.String({ maxLength: 63, description: 'the name of a port' })),
    cluster: Type.Optional(
      Type.String({ maxLength: 63, description: 'the cluster of this mesh where who asks runs' }),
    ),
    network: Type.Optional(
      Type.String({
        maxLength: 63,
        description: 'the network of this mesh where who asks runs; for the route',
      }),
    ),
    namespace: Type.Optional(
      Type.String({
        maxLength: 63,
        description: "the namespace of this mesh where who asks runs; default the caller's",
      }),
    ),
    at: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'decides which rules have ended; default now',
      }),
    ),
  },
  { additionalProperties: false },
)

/** A decision with its whole chain of reasons. */
export const ExplainBody = Type.Object({
  decision: Type.Enum([...DECISIONS], {
    description: 'deny when a step denies; `route` alone decides nothing, since ways come and go',
  }),
  question: Type.Enum(['visibility', 'call']),
  steps: Type.Array(
    Type.Object({
      step: Type.Enum([...EXPLAINED_STEPS]),
      outcome: Type.Enum([...OUTCOMES]),
      reason: Type.String(),
      ruleId: Type.Optional(Type.String()),
      ruleName: Type.Optional(Type.String({ description: 'what its author calls that rule' })),
      decidedBy: Type.Optional(
        Type.String({ description: 'the relationship whose mesh alone knows this half' }),
      ),
    }),
  ),
  undecided: Type.Array(Type.String(), {
    description:
      'relationships whose own half is not known here; an allow holds only if theirs does',
  }),
  hostname: Type.Union([Type.String(), Type.Null()], {
    description: "the peer's service as this mesh names it",
  }),
  serverIds: Type.Array(Type.String(), {
    description: 'identities that a client must require of the server',
  }),
  at: Type.String({ format: 'date-time', maxLength: 40 }),
  revision: Type.Union([Type.String(), Type.Null()], {
    description:
      'of the mesh when this was decided; null for who has some namespaces only: it counts the changes of all',
  }),
  next: Type.Array(
    Type.String({ description: 'the smallest change that would allow it, one command each' }),
  ),
})

/** A decision on the wire. */
export type ExplainView = Static<typeof ExplainBody>
