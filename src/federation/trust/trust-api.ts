import { type Static, Type } from 'typebox'
import { PeerRevisionBody } from '../peer-bundle/peer-bundle-api.ts'
import { AuthorityBody } from '../peer-bundle/revision-api.ts'

const Moment = Type.String({ format: 'date-time' })
const TextOrNull = Type.Union([Type.String(), Type.Null()])

/** Query of `GET /v1/meshes/{m}/trust`. */
export const TrustQueryBody = Type.Object(
  {
    at: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'a moment that has passed, RFC 3339; default now',
      }),
    ),
    trustDomain: Type.Optional(Type.String({ maxLength: 255, description: 'only this one' })),
    limit: Type.Integer({ minimum: 1, maximum: 500, default: 100 }),
    cursor: Type.Optional(
      Type.String({ maxLength: 2048, description: 'nextCursor of the page before' }),
    ),
  },
  { additionalProperties: false },
)

/** One authority that was trusted, and why. */
export const TrustedAuthorityBody = Type.Object({
  trustDomain: Type.String(),
  whose: Type.Union([Type.Literal('own'), Type.Literal('peer')]),
  ...AuthorityBody.properties,
  isWithinValidity: Type.Boolean({
    description: 'whether the certificate had begun and not ended at that moment',
  }),
  since: Type.String({ format: 'date-time', description: 'trusted from then on without a break' }),
  why: Type.String({ description: 'one sentence for people' }),
  revision: Type.Union(
    [
      Type.Object({
        n: Type.Union([Type.String(), Type.Null()], {
          description: "of a peer's bundle; our own are known by their sequence",
        }),
        sequence: TextOrNull,
        digest: Type.String(),
        origin: TextOrNull,
        approvedBy: TextOrNull,
        verifiedBy: Type.Union([PeerRevisionBody.properties.verifiedBy, Type.Null()]),
      }),
      Type.Null(),
    ],
    { description: 'the revision with which this trust began' },
  ),
  relationship: Type.Union(
    [
      Type.Object({
        name: Type.String({ description: 'as it was called when this trust began' }),
        consentedBy: TextOrNull,
        consentedAt: Type.Union([Moment, Type.Null()]),
        theirConsent: TextOrNull,
      }),
      Type.Null(),
    ],
    { description: 'null for domains of the mesh itself' },
  ),
  begunBy: Type.Object({
    event: Type.String({ description: 'as in the audit log' }),
    actor: TextOrNull,
  }),
})

/** Whom a mesh trusted at a moment. */
export const TrustBody = Type.Object({
  at: Type.String({
    format: 'date-time',
    description: "by the database's clock, to the millisecond; a change counts from its moment on",
  }),
  completeSince: Type.String({
    format: 'date-time',
    description: 'for moments before this one authorities of peers may be missing',
  }),
  items: Type.Array(TrustedAuthorityBody),
  nextCursor: Type.Union([Type.String(), Type.Null()]),
})

/** One authority that was trusted, on the wire. */
export type TrustedAuthorityView = Static<typeof TrustedAuthorityBody>
/** Whom a mesh trusted, on the wire. */
export type TrustView = Static<typeof TrustBody>
