import { type Static, Type } from 'typebox'
import { EndedRelationshipBody, RelationshipBody } from './api.ts'

const Next = EndedRelationshipBody.properties.next

/** Body of `POST …/relationships/{name}/suspend`, `withdraw`, `resume`, `approve` and `terminate`; may be left out. */
export const StandingBody = Type.Union([
  Type.Object(
    {
      reason: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 500,
          description:
            'for people; shown with the relationship while it is suspended or over; that of a termination is told to a peer with Entente',
        }),
      ),
    },
    { additionalProperties: false },
  ),
  Type.Null(),
])

/** One authority of a peer, as two people compare it. */
export const AuthorityFingerprintBody = Type.Object({
  kind: Type.Union([Type.Literal('x509'), Type.Literal('jwt')]),
  publicKeySha256: Type.String({
    description: 'SHA-256 of the SubjectPublicKeyInfo, hex; the same in a renewed certificate',
  }),
  kid: Type.Union([Type.String(), Type.Null()]),
  notAfter: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})

/** The authorities of one domain of a peer. */
export const PeerAuthoritiesBody = Type.Object({
  trustDomain: Type.String(),
  bundleDigest: Type.Union([Type.String(), Type.Null()], {
    description: 'of the bundle in use, as in `domains[].bundle.digest`',
  }),
  fingerprint: Type.Union([Type.String(), Type.Null()], {
    description: 'eight groups of five digits over the X.509 authorities, to be compared aloud',
  }),
  authorities: Type.Array(AuthorityFingerprintBody),
})

/** What became of a relationship's standing, whom it makes trusted, and what it withholds. */
export const ChangedStandingBody = Type.Object({
  relationship: RelationshipBody,
  peerAuthorities: Type.Array(PeerAuthoritiesBody, {
    description: 'whom an approval makes trusted: compare with the peer over another way',
  }),
  ours: Type.Array(Type.Object({ trustDomain: Type.String(), fingerprint: Type.String() }), {
    description: 'the fingerprints of our own bundles, which the peer must see',
  }),
  effects: EndedRelationshipBody.properties.ended,
  next: Next,
})

/** The answer to a change of standing. */
export type ChangedStandingView = Static<typeof ChangedStandingBody>
/** The authorities of one domain of a peer on the wire. */
export type PeerAuthoritiesView = Static<typeof PeerAuthoritiesBody>
