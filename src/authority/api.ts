import { type Static, Type } from 'typebox'

const Moment = Type.String({ format: 'date-time' })
const MomentOrNull = Type.Union([Moment, Type.Null()])
const TextOrNull = Type.Union([Type.String(), Type.Null()])
const Kind = Type.Union([
  Type.Literal('x509_root'),
  Type.Literal('x509_intermediate'),
  Type.Literal('jwt'),
])

/** One authority: a key that signs, and where it is in its life. */
export const AuthorityBody = Type.Object({
  id: Type.String({ format: 'uuid' }),
  trustDomain: Type.String(),
  kind: Kind,
  cluster: TextOrNull,
  parentId: TextOrNull,
  state: Type.Union([
    Type.Literal('prepared'),
    Type.Literal('active'),
    Type.Literal('retired'),
    Type.Literal('removed'),
    Type.Literal('tainted'),
    Type.Literal('revoked'),
  ]),
  keyId: Type.String({ description: 'RFC 7638 thumbprint of the public key; the kid of JWT keys' }),
  certificateSha256: TextOrNull,
  certificatePem: TextOrNull,
  notBefore: Moment,
  notAfter: Moment,
  preparedAt: Moment,
  publishedAt: MomentOrNull,
  publishedSequence: TextOrNull,
  activatedAt: MomentOrNull,
  retiredAt: MomentOrNull,
  removeAt: MomentOrNull,
  removedAt: MomentOrNull,
  forced: Type.Boolean({ description: 'activated although a condition did not hold' }),
  endpointOnly: Type.Boolean({ description: 'signs endpoint SVIDs only, until its root leaves' }),
  hasPrivateKey: Type.Boolean(),
  successorPreparedAt: MomentOrNull,
  successorForcedAt: MomentOrNull,
  waitingFor: Type.Array(
    Type.Object({
      for: Type.Union([
        Type.Literal('publication'),
        Type.Literal('propagation'),
        Type.Literal('replicas'),
        Type.Literal('hint'),
        Type.Literal('holders'),
        Type.Literal('key'),
      ]),
      until: MomentOrNull,
      detail: Type.String(),
    }),
    { description: 'what a prepared authority still waits for before it may sign' },
  ),
})

/** Body of `POST …/authorities`: prepare a successor. */
export const PrepareAuthorityBody = Type.Object(
  {
    kind: Kind,
    trustDomain: Type.Optional(Type.String({ maxLength: 255 })),
    cluster: Type.Optional(
      Type.String({ maxLength: 63, description: 'for an intermediate; default the first cluster' }),
    ),
  },
  { additionalProperties: false },
)

/** Body of `POST …/authorities/{id}/activate`. */
export const ActivateAuthorityBody = Type.Object(
  {
    force: Type.Optional(
      Type.Boolean({
        description:
          'although workloads or peers may not know the key yet; audited. Never before all replicas serve it for one hint',
      }),
    ),
  },
  { additionalProperties: false },
)

/** An authority that was just changed, and what to do next. */
export const ChangedAuthorityBody = Type.Object({
  ...AuthorityBody.properties,
  next: Type.Array(Type.String()),
})

/** An authority on the wire. */
export type AuthorityView = Static<typeof AuthorityBody>
/** The answer to a change of an authority. */
export type ChangedAuthorityView = Static<typeof ChangedAuthorityBody>
