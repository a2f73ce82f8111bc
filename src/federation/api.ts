import { type Static, Type } from 'typebox'
import { ProposalBody } from './proposal/proposal-api.ts'
import { ChangedOwnerMembers, NewOwnerMembers, OwnerMembers } from './owner-api.ts'
import { ExchangeBody } from './exchange/exchange-api.ts'

const Name = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'our name for the peer, unique in the mesh; used in commands, rules and host names',
})
const HintSeconds = Type.Integer({ minimum: 1, maximum: 86_400 })
const NewSource = Type.Union([
  Type.Literal('https_web'),
  Type.Literal('https_spiffe'),
  Type.Literal('static'),
  Type.Literal('local', { description: 'a mesh of this same service; nothing is fetched' }),
])
const Policy = Type.Union([Type.Literal('auto'), Type.Literal('overlap'), Type.Literal('approve')])
/** Where a stored document comes from. */
export const Origin = Type.Union([
  Type.Literal('fetched'),
  Type.Literal('manual'),
  Type.Literal('signed'),
  Type.Literal('reduced'),
])
const Moment = Type.String({ format: 'date-time' })
const MomentOrNull = Type.Union([Moment, Type.Null()])
const TextOrNull = Type.Union([Type.String(), Type.Null()])
const IntegerOrNull = Type.Union([Type.Integer(), Type.Null()])
const Document = Type.String({
  minLength: 2,
  maxLength: 1_048_576,
  description: 'text of a SPIFFE bundle (a JWK Set); as text, so that no number in it loses digits',
})

/** One way to renew the bundle of a domain whose endpoint can no longer be authenticated. */
export const RecoveryPathBody = Type.Object(
  {
    kind: Type.Union([Type.Literal('endpoint'), Type.Literal('signed-bundle')]),
    source: Type.Optional(Type.Union([Type.Literal('https_web'), Type.Literal('https_spiffe')])),
    endpointUrl: Type.Optional(Type.String({ maxLength: 2048 })),
    endpointSpiffeId: Type.Optional(Type.String({ maxLength: 2048 })),
    publicKey: Type.Optional(
      Type.Record(Type.String({ maxLength: 20 }), Type.String({ maxLength: 200 }), {
        maxProperties: 8,
        description: 'public half (JWK, P-256) of the recovery key that signs bundles',
      }),
    ),
  },
  { additionalProperties: false },
)

/** X.509 authorities of a peer as PEM. */
export const Pem = Type.String({
  maxLength: 1_048_576,
  description: 'X.509 authorities as PEM certificates, instead of `bundle`',
})

/** One trust domain of a new relationship. */
export const NewDomainBody = Type.Object(
  {
    trustDomain: Type.String({ maxLength: 300 }),
    source: NewSource,
    endpointUrl: Type.Optional(Type.String({ maxLength: 2048 })),
    endpointSpiffeId: Type.Optional(Type.String({ maxLength: 2048 })),
    bundle: Type.Optional(Document),
    bundlePem: Type.Optional(Pem),
    recovery: Type.Optional(
      Type.Array(RecoveryPathBody, {
        maxItems: 8,
        description: 'tried in this order, only once the endpoint can no longer be authenticated',
      }),
    ),
  },
  { additionalProperties: false },
)

/** Body of `POST …/relationships`. */
export const CreateRelationshipBody = Type.Object(
  {
    name: Name,
    peerMeshName: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    ...NewOwnerMembers,
    changePolicy: Type.Optional(Policy),
    hintMinSeconds: Type.Optional(HintSeconds),
    hintMaxSeconds: Type.Optional(HintSeconds),
    domains: Type.Array(NewDomainBody, { minItems: 1, maxItems: 16 }),
  },
  { additionalProperties: false },
)

/** Body of `PATCH …/relationships/{name}`; null takes a value away. */
export const ChangeRelationshipBody = Type.Object(
  {
    name: Type.Optional(Name),
    ...ChangedOwnerMembers,
    changePolicy: Type.Optional(Policy),
    hintMinSeconds: Type.Optional(Type.Union([HintSeconds, Type.Null()])),
    hintMaxSeconds: Type.Optional(Type.Union([HintSeconds, Type.Null()])),
  },
  { additionalProperties: false, minProperties: 1 },
)

/** The bundle of a peer's domain that is in use. */
export const StoredBundleBody = Type.Object({
  n: Type.String(),
  sequence: TextOrNull,
  refreshHintSeconds: IntegerOrNull,
  digest: Type.String({ description: 'SHA-256, hex, over the canonical form of what is accepted' }),
  origin: Type.Union([...Origin.anyOf, Type.Literal('published')], {
    description: 'published: by a mesh of this same service, read and never stored',
  }),
  receivedAt: Moment,
  confirmedAt: Type.String({
    format: 'date-time',
    description: 'when the peer last said that it is the newest',
  }),
  ageSeconds: Type.Integer({ description: 'since confirmedAt' }),
  x509Authorities: Type.Integer(),
  validationEndsAt: Type.Union([Moment, Type.Null()], {
    description: 'the end of the last X.509 authority in it; SVIDs are refused from then on',
  }),
  firstAuthorityEndsAt: Type.Union([Moment, Type.Null()], {
    description: 'the next end of one of its X.509 authorities',
  }),
})

/** A document of a peer of which nothing is used before a person approves it. */
export const WaitingBundleBody = Type.Object({
  n: Type.String(),
  sequence: TextOrNull,
  digest: Type.String({ description: 'names it in approve and reject; SHA-256, hex' }),
  receivedAt: Moment,
  reason: TextOrNull,
})

/** How the polling of a domain stands. */
export const PollBody = Type.Object({
  lastAttemptAt: MomentOrNull,
  lastSuccessAt: MomentOrNull,
  lastError: TextOrNull,
  failures: Type.Integer(),
  intervalSeconds: Type.Integer(),
  nextAt: Moment,
})

const Health = Type.Union([
  Type.Literal('needs-bootstrap'),
  Type.Literal('quarantined'),
  Type.Literal('stale'),
  Type.Literal('failing'),
  Type.Literal('ok'),
])
const HealthOrNull = Type.Union([Health, Type.Null()], { description: 'null once terminated' })

const HealthMembers = {
  health: HealthOrNull,
  healthReason: TextOrNull,
  wayOut: TextOrNull,
}

const RelayBody = Type.Object({
  sequence: Type.String({ description: "ours, apart from the peer's" }),
  fetches: Type.String(),
  lastAt: MomentOrNull,
})

/** One trust domain of a relationship. */
export const RelationshipDomainBody = Type.Object({
  trustDomain: Type.String(),
  source: NewSource,
  endpointUrl: TextOrNull,
  endpointSpiffeId: TextOrNull,
  recovery: Type.Array(RecoveryPathBody),
  firstBundleDigest: Type.Union([Type.String(), Type.Null()], {
    description: 'of the first bundle that counted, pinned; SHA-256, hex',
  }),
  ...HealthMembers,
  bundle: Type.Union([StoredBundleBody, Type.Null()]),
  waiting: Type.Union([WaitingBundleBody, Type.Null()]),
  poll: Type.Union([PollBody, Type.Null()]),
  relayUrl: Type.String({
    description: "where our own control planes read the peer's bundle as this mesh accepts it now",
  }),
  relay: Type.Union([RelayBody, Type.Null()], {
    description: 'how the relay was used; null before the first fetch',
  }),
})

const Consent = Type.Union([
  Type.Literal('given'),
  Type.Literal('assumed'),
  Type.Literal('pending'),
  Type.Literal('withdrawn'),
])

/** One way in which trust ends if nothing new arrives, and when. */
export const ForecastBody = Type.Object({
  at: Moment,
  reason: Type.Union([
    Type.Literal('peer-authorities-end'),
    Type.Literal('endpoint-unauthenticated'),
    Type.Literal('consent-expires'),
    Type.Literal('own-web-certificate'),
    Type.Literal('own-authorities-end'),
    Type.Literal('own-authority-unknown'),
  ]),
  stops: Type.Union([Type.Literal('we'), Type.Literal('they'), Type.Literal('both')], {
    description: 'who ceases to accept the other',
  }),
  trustDomain: TextOrNull,
  detail: Type.String(),
})

/** A relationship with its health. */
export const RelationshipBody = Type.Object({
  name: Type.String(),
  purpose: Type.Union([Type.Literal('peer'), Type.Literal('source')], {
    description: 'source: the system that signs for an adopted trust domain of this mesh',
  }),
  peerMeshName: TextOrNull,
  state: Type.Union([
    Type.Literal('pending'),
    Type.Literal('active'),
    Type.Literal('suspended'),
    Type.Literal('terminated'),
  ]),
  standingReason: Type.Union([Type.String(), Type.Null()], {
    description: 'why it is suspended or over, for people',
  }),
  waitingFor: Type.Array(Type.String(), { description: 'until it can be active' }),
  ...HealthMembers,
  ourConsent: Consent,
  theirConsent: Consent,
  changePolicy: Policy,
  hintMinSeconds: IntegerOrNull,
  hintMaxSeconds: IntegerOrNull,
  ...OwnerMembers,
  readerUrl: Type.Union([Type.String(), Type.Null()], {
    description: 'where this peer should fetch our bundle, so that its fetches can be seen',
  }),
  trustBreaksAt: Type.Union([Moment, Type.Null()], {
    description: 'when trust ends if nothing new arrives on either side; in the past when it has',
  }),
  trustBreaksBecause: TextOrNull,
  forecast: Type.Array(ForecastBody, {
    description: 'every way in which it ends, the earliest first',
  }),
  exchange: Type.Union([ExchangeBody, Type.Null()], {
    description: 'the channel to a peer that speaks Entente too',
  }),
  domains: Type.Array(RelationshipDomainBody),
  proposals: Type.Array(ProposalBody, { description: 'changes that wait for consent' }),
  generation: Type.String(),
  version: Type.String(),
  createdAt: Moment,
  activatedAt: MomentOrNull,
  terminatedAt: MomentOrNull,
})

const Next = Type.Array(Type.String({ description: 'a useful command' }))

/** A relationship that was just made, and what to do with it. */
export const CreatedRelationshipBody = Type.Object({ ...RelationshipBody.properties, next: Next })

/** A relationship that ended, and what ended with it. */
export const EndedRelationshipBody = Type.Object({
  relationship: RelationshipBody,
  ended: Type.Array(
    Type.Object({
      kind: Type.String(),
      name: Type.String(),
      effect: Type.String(),
      blocks: Type.Boolean(),
    }),
  ),
  next: Next,
})

/** A relationship on the wire. */
export type RelationshipView = Static<typeof RelationshipBody>
/** One way in which trust ends, on the wire. */
export type ForecastView = Static<typeof ForecastBody>
/** One trust domain of a relationship on the wire. */
export type RelationshipDomainView = Static<typeof RelationshipDomainBody>
/** The answer to the making of a relationship. */
export type CreatedRelationshipView = Static<typeof CreatedRelationshipBody>
/** The answer to the ending of a relationship. */
export type EndedRelationshipView = Static<typeof EndedRelationshipBody>
