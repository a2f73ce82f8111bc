import { type Static, Type } from 'typebox'
import { Origin, Pem } from '../api.ts'

const Moment = Type.String({ format: 'date-time' })
const TextOrNull = Type.Union([Type.String(), Type.Null()])
const IntegerOrNull = Type.Union([Type.Integer(), Type.Null()])
const Next = Type.Array(Type.String({ description: 'a useful command' }))

/** Body of `POST …/bundles/{td}`. */
export const SetBundleBody = Type.Object(
  {
    document: Type.Optional(
      Type.String({
        minLength: 2,
        maxLength: 2_400_000,
        description: 'text of a SPIFFE bundle, or a signed bundle',
      }),
    ),
    bundlePem: Type.Optional(Pem),
    fingerprint: Type.Optional(
      Type.String({
        maxLength: 100,
        description: 'what two people compared aloud; the bundle must have exactly this one',
      }),
    ),
  },
  { additionalProperties: false },
)

/** What a bundle set by hand changed. */
export const BundleSetBody = Type.Object({
  trustDomain: Type.String(),
  sequence: TextOrNull,
  digest: Type.String(),
  added: Type.Array(Type.String()),
  removed: Type.Array(Type.String()),
  kept: Type.Integer(),
  skipped: Type.Array(Type.Object({ index: Type.Integer(), reason: Type.String() })),
  next: Next,
})

const VerifiedBy = Type.Union([
  Type.Object({
    how: Type.Literal('fetch'),
    url: Type.String(),
    redirects: Type.Array(Type.String()),
    address: TextOrNull,
    presentedIds: Type.Array(Type.String()),
    chainSha256: TextOrNull,
    recovery: Type.Optional(Type.String({ description: 'the recovery path that it came by' })),
  }),
  Type.Object({
    how: Type.Literal('hand'),
    actor: Type.String(),
    signedBy: Type.Optional(Type.Union([Type.Literal('recovery-key'), Type.Literal('svid')])),
  }),
])

const RevisionMembers = {
  n: Type.String(),
  sequence: TextOrNull,
  refreshHintSeconds: IntegerOrNull,
  digest: Type.String(),
  receivedAt: Moment,
  origin: Origin,
  disposition: Type.Union([
    Type.Literal('current'),
    Type.Literal('superseded'),
    Type.Literal('removed'),
    Type.Literal('quarantined'),
    Type.Literal('rejected'),
  ]),
  reason: TextOrNull,
  decidedAt: Type.Union([Moment, Type.Null()], {
    description: 'when a person approved or rejected it',
  }),
  decidedBy: TextOrNull,
  retiredAt: Type.Union([Moment, Type.Null()], { description: 'when it ceased to be in use' }),
  verifiedBy: VerifiedBy,
}

/** One revision of a peer's bundle. */
export const PeerRevisionBody = Type.Object(RevisionMembers)

/** The bundle in use, with its document as it was received. */
export const PeerBundleBody = Type.Object({ ...RevisionMembers, document: Type.String() })

/** The answer to a bundle set by hand. */
export type BundleSetView = Static<typeof BundleSetBody>
/** One revision of a peer's bundle on the wire. */
export type PeerRevisionView = Static<typeof PeerRevisionBody>
