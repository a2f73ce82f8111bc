import { type Static, Type } from 'typebox'

const TextOrNull = Type.Union([Type.String(), Type.Null()])
const MomentOrNull = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])
const Digest = Type.String({
  maxLength: 120,
  description: 'SHA-256 of the public key (DER SubjectPublicKeyInfo): hex, colons allowed',
})

/** Body of `POST …/distrusted-keys`. */
export const DistrustBody = Type.Object(
  {
    publicKeySha256: Digest,
    note: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
  },
  { additionalProperties: false },
)

/** A foreign key that this mesh trusts nowhere, or did not until it was lifted. */
export const DistrustedKeyBody = Type.Object({
  publicKeySha256: Type.String({ description: 'lower-case hex' }),
  note: TextOrNull,
  since: Type.String({ format: 'date-time' }),
  by: Type.String(),
  liftedAt: MomentOrNull,
  liftedBy: TextOrNull,
})

const Place = Type.Object({
  relationship: Type.String(),
  state: Type.Union([
    Type.Literal('pending'),
    Type.Literal('active'),
    Type.Literal('suspended'),
    Type.Literal('terminated'),
  ]),
  trustDomain: Type.String(),
  kind: Type.Union([Type.Literal('x509'), Type.Literal('jwt')]),
  name: Type.String({ description: 'subject of the certificate, or `kid`' }),
})

/** A change of distrust: where the key stands, and what the change means. */
export const DistrustChangedBody = Type.Object({
  key: DistrustedKeyBody,
  places: Type.Array(Place, { description: 'bundles in use that hold the key' }),
  effects: Type.Array(
    Type.Object({
      kind: Type.String(),
      name: Type.String(),
      effect: Type.String(),
      blocks: Type.Boolean(),
    }),
  ),
  next: Type.Array(Type.String({ description: 'a useful command' })),
})

/** Query of the list of distrusted keys beside the page. */
export const DistrustedQuery = {
  lifted: Type.Optional(
    Type.Boolean({ description: 'those too of which the distrust was lifted' }),
  ),
}

/** A distrusted key on the wire. */
export type DistrustedKeyView = Static<typeof DistrustedKeyBody>
/** The answer to a change of distrust. */
export type DistrustChangedView = Static<typeof DistrustChangedBody>
