import { type Static, Type } from 'typebox'
import { RelationshipBody } from '../api.ts'
import { DEFAULT_INVITE_SECONDS, MAX_INVITE_SECONDS } from './create-invite.ts'
import { MAX_INVITE_CHARACTERS } from './invite.ts'

const Moment = Type.String({ format: 'date-time' })
const MomentOrNull = Type.Union([Moment, Type.Null()])
const TextOrNull = Type.Union([Type.String(), Type.Null()])
const Name = Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' })
const Next = Type.Array(Type.String({ description: 'a useful command' }))

/** The fingerprint of one bundle. */
const FingerprintBody = Type.Object({
  trustDomain: Type.String(),
  fingerprint: Type.String({
    description:
      'eight groups of five digits over the X.509 authorities of the bundle; the same on both sides, to be compared aloud',
  }),
})

/** Body of `POST …/invites`. */
export const CreateInviteBody = Type.Object(
  {
    as: Type.Optional(Name),
    for: Type.Optional(
      Type.String({
        maxLength: 300,
        description:
          'trust domain of the peer; naming it is our consent to it alone. Who has another as its first domain is refused; who brings more of them waits for `approve`',
      }),
    ),
    autoApprove: Type.Optional(
      Type.Boolean({ description: 'says aloud that `for` is our consent; refused without it' }),
    ),
    fingerprint: Type.Optional(
      Type.String({
        maxLength: 100,
        description: 'what the fingerprint of the bundle of `for` must be; any other is refused',
      }),
    ),
    expiresSeconds: Type.Optional(
      Type.Integer({
        minimum: 60,
        maximum: MAX_INVITE_SECONDS,
        default: DEFAULT_INVITE_SECONDS,
      }),
    ),
  },
  { additionalProperties: false },
)

/** An invite of ours; the string itself is shown once. */
export const InviteBody = Type.Object({
  id: Type.String(),
  state: Type.Union([
    Type.Literal('open'),
    Type.Literal('used'),
    Type.Literal('cancelled'),
    Type.Literal('expired'),
  ]),
  name: TextOrNull,
  expectedTrustDomain: TextOrNull,
  expectedFingerprint: TextOrNull,
  isApproved: Type.Boolean({ description: 'whether our consent is given beforehand' }),
  createdAt: Moment,
  createdBy: Type.String(),
  expiresAt: Moment,
  usedAt: MomentOrNull,
  usedBy: TextOrNull,
  relationship: Type.Union([Type.String(), Type.Null()], {
    description:
      'what it led to; it waits for `approve` where our consent was not given beforehand',
  }),
  approvalReason: Type.Union([Type.String(), Type.Null()], {
    description: 'why consent given beforehand did not count for who used the invite',
  }),
  lastRefusal: Type.Union(
    [Type.Object({ at: Moment, reason: Type.String(), next: TextOrNull }), Type.Null()],
    { description: 'why the last handshake with it failed, and what helps' },
  ),
})

/** An invite that was just made. */
export const CreatedInviteBody = Type.Object({
  ...InviteBody.properties,
  invite: Type.String({ description: 'the string for the other side; a secret, shown once' }),
  fingerprints: Type.Array(FingerprintBody),
  cancelled: Type.Array(Type.String({ description: 'invites for the same peer that it replaced' })),
  next: Next,
})

/** Body of `POST …/invites/accept`. */
export const AcceptInviteBody = Type.Object(
  {
    invite: Type.String({ minLength: 1, maxLength: 2 * MAX_INVITE_CHARACTERS }),
    as: Type.Optional(Name),
  },
  { additionalProperties: false },
)

/** What an invite tells beyond the fingerprints, which do not cover it. */
const InvitedBody = Type.Object(
  {
    domains: Type.Array(
      Type.Object({
        trustDomain: Type.String(),
        profile: Type.String(),
        endpointUrl: Type.String(),
        endpointSpiffeId: TextOrNull,
        recovery: Type.Array(Type.String()),
      }),
    ),
    exchange: Type.Object({ id: Type.String(), url: Type.String() }),
  },
  { description: 'as the invite tells it; to be compared too: the fingerprints do not cover it' },
)

/** An invite that was accepted. */
export const AcceptedInviteBody = Type.Object({
  steps: Type.Array(Type.Object({ step: Type.String(), done: Type.Boolean() })),
  consent: Type.Union(
    [Type.Literal('given'), Type.Literal('pending'), Type.Literal('withdrawn'), Type.Null()],
    { description: "the inviter's; null in a dry run" },
  ),
  ours: Type.Array(FingerprintBody),
  theirs: Type.Array(FingerprintBody),
  invited: InvitedBody,
  relationship: RelationshipBody,
  next: Next,
})

/** Path of one invite. */
export const InviteParams = Type.Object({
  meshId: Type.String({ maxLength: 63 }),
  inviteId: Type.String({ format: 'uuid' }),
})

/** An invite on the wire. */
export type InviteView = Static<typeof InviteBody>
/** The answer to the making of an invite. */
export type CreatedInviteView = Static<typeof CreatedInviteBody>
/** The answer to the acceptance of an invite. */
export type AcceptedInviteView = Static<typeof AcceptedInviteBody>
