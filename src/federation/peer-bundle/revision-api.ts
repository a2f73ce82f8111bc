import { type Static, Type } from 'typebox'
import { EndedRelationshipBody, RelationshipBody } from '../api.ts'
import { PeerRevisionBody } from './peer-bundle-api.ts'

const Moment = Type.String({ format: 'date-time' })
const MomentOrNull = Type.Union([Moment, Type.Null()])
const TextOrNull = Type.Union([Type.String(), Type.Null()])
const Digest = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'SHA-256, hex, as revisions and their diff show it',
})

const AuthorityMembers = {
  kind: Type.Union([Type.Literal('x509'), Type.Literal('jwt')]),
  publicKeySha256: Type.String({
    description: 'SHA-256 of the SubjectPublicKeyInfo, hex; the same in a renewed certificate',
  }),
  certificateSha256: TextOrNull,
  subject: TextOrNull,
  kid: TextOrNull,
  notBefore: MomentOrNull,
  notAfter: MomentOrNull,
}

/** One authority of a bundle, for people. */
export const AuthorityBody = Type.Object(AuthorityMembers)

const ChangedAuthority = Type.Object({
  ...AuthorityMembers,
  isSameKey: Type.Boolean({
    description: 'the other side has this public key too: renewed, or under another kid',
  }),
})

const Side = Type.Union([PeerRevisionBody, Type.Null()], {
  description: 'null: there is no bundle in use',
})

/** Query of `GET …/revisions/diff`. */
export const DiffQuery = Type.Object(
  {
    from: Type.Optional(
      Type.String({
        pattern: '^([1-9][0-9]{0,17}|current|quarantined)$',
        description: 'number of a revision, `current` (default) or `quarantined`',
      }),
    ),
    to: Type.Optional(
      Type.String({
        pattern: '^([1-9][0-9]{0,17}|current|quarantined)$',
        description: 'number of a revision, `current` or `quarantined` (default)',
      }),
    ),
  },
  { additionalProperties: false },
)

/** Two revisions of a peer's bundle by authority. */
export const RevisionDiffBody = Type.Object({
  trustDomain: Type.String(),
  from: Side,
  to: Side,
  added: Type.Array(ChangedAuthority),
  removed: Type.Array(ChangedAuthority),
  kept: Type.Array(AuthorityBody),
  next: EndedRelationshipBody.properties.next,
})

/** Body of `POST …/revisions/approve` and `…/reject`. */
export const DecisionBody = Type.Object({ digest: Digest }, { additionalProperties: false })

/** What a decision on a quarantined document changed. */
export const DecidedBody = Type.Object({
  trustDomain: Type.String(),
  n: Type.String(),
  digest: Digest,
  decision: Type.Union([Type.Literal('approve'), Type.Literal('reject')]),
  added: Type.Array(ChangedAuthority),
  removed: Type.Array(ChangedAuthority),
  kept: Type.Array(AuthorityBody),
  activated: Type.Boolean({ description: 'the relationship waited for nothing else' }),
  relationship: RelationshipBody,
  next: EndedRelationshipBody.properties.next,
})

/** One authority on the wire. */
export type AuthorityView = Static<typeof AuthorityBody>
/** A changed authority on the wire. */
export type ChangedAuthorityView = Static<typeof ChangedAuthority>
/** One side of a diff on the wire. */
export type DiffSideView = Static<typeof Side>
/** A diff of two revisions on the wire. */
export type RevisionDiffView = Static<typeof RevisionDiffBody>
/** The answer to a decision. */
export type DecidedView = Static<typeof DecidedBody>
