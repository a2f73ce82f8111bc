import { type Static, Type } from 'typebox'
import { MAX_SPIFFE_ID_BYTES } from '../spiffe/spiffe-id.ts'
import { PageQuery } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { MAX_DNS_NAMES } from '../pki/dns-name.ts'
import {
  DEFAULT_JWT_TTL_SECONDS,
  DEFAULT_X509_TTL_SECONDS,
  MAX_FEDERATED,
  MIN_TTL_SECONDS,
} from './entry.ts'
import { DEFAULT_TOKEN_SECONDS, MAX_TOKEN_SECONDS } from './join-tokens.ts'

const Moment = Type.String({ format: 'date-time' })
const Nothing = Type.Null()
const Next = Type.Array(Type.String({ description: 'a useful command' }))
const SpiffeIdText = Type.String({
  minLength: 1,
  maxLength: MAX_SPIFFE_ID_BYTES,
  description: "a SPIFFE ID of the mesh, or a path in its primary trust domain ('/web')",
})

const FederatesWith = Type.Union(
  [
    Type.Literal('all'),
    Type.Literal('none'),
    Type.Array(Type.String({ maxLength: 255 }), { maxItems: MAX_FEDERATED }),
    Type.Object({ group: Type.String({ maxLength: 63 }) }, { additionalProperties: false }),
  ],
  {
    description:
      'whose bundles its workloads are given: all active peers, none, these trust domains, or the members of a peer group; default all',
  },
)

const content = {
  x509TtlSeconds: Type.Integer({
    minimum: MIN_TTL_SECONDS,
    maximum: 86_400,
    description: `life of X509-SVIDs; default ${DEFAULT_X509_TTL_SECONDS}`,
  }),
  jwtTtlSeconds: Type.Integer({
    minimum: MIN_TTL_SECONDS,
    maximum: 3600,
    description: `life of JWT-SVIDs; default ${DEFAULT_JWT_TTL_SECONDS}`,
  }),
  dnsNames: Type.Array(Type.String({ maxLength: 253 }), { maxItems: MAX_DNS_NAMES }),
  federatesWith: FederatesWith,
}

const chosen = {
  ...Type.Partial(Type.Object(content)).properties,
  hint: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 128 }), Nothing])),
  cluster: Type.Optional(
    Type.Union([
      Type.String({
        minLength: 1,
        maxLength: 63,
        description: 'its holder may report the endpoints of this cluster, and of no other',
      }),
      Nothing,
    ]),
  ),
  expiresAt: Type.Optional(Type.Union([Moment, Nothing])),
}

/** Body of `POST /v1/meshes/{meshId}/entries`. */
export const CreateEntryBody = Type.Object(
  { spiffeId: SpiffeIdText, ...chosen },
  { additionalProperties: false },
)

/** Body of `PATCH /v1/meshes/{meshId}/entries/{entryId}`. */
export const ChangeEntryBody = Type.Object(chosen, {
  additionalProperties: false,
  minProperties: 1,
})

/** Who may have which identity. */
export const EntryBody = Type.Object({
  id: Type.String(),
  spiffeId: Type.String(),
  trustDomain: Type.String(),
  ...content,
  hint: Type.Union([Type.String(), Nothing]),
  cluster: Type.Union([Type.String(), Nothing], {
    description: 'the cluster whose endpoints its holder may report',
  }),
  expiresAt: Type.Union([Moment, Nothing]),
  version: Type.String(),
  createdAt: Moment,
})

/** An entry that was just made, and what to do with it. */
export const CreatedEntryBody = Type.Object({ ...EntryBody.properties, next: Next })

/** An entry that was deleted (or would be), and what ends with it. */
export const EndedEntryBody = Type.Object({
  ...EntryBody.properties,
  livingSvids: Type.Integer({ description: 'SVIDs that stay valid until they end, never renewed' }),
  unusedTokens: Type.Integer({ description: 'join tokens that can be used no more' }),
  reportedEndpoints: Type.Integer({
    description: 'endpoints that its holder reported and that go',
  }),
})

/** Query of the list of entries. */
export const EntriesQuery = Type.Object(
  {
    ...PageQuery.properties,
    spiffeId: Type.Optional(SpiffeIdText),
  },
  { additionalProperties: false },
)

/** Body of `POST /v1/meshes/{meshId}/join-tokens`. */
export const CreateJoinTokenBody = Type.Object(
  {
    spiffeId: SpiffeIdText,
    ttlSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_TOKEN_SECONDS,
        description: `how long it can be used; default ${DEFAULT_TOKEN_SECONDS}`,
      }),
    ),
  },
  { additionalProperties: false },
)

/** A join token as it can be read later: never the token itself. */
export const JoinTokenBody = Type.Object({
  id: Type.String(),
  entryId: Type.String(),
  spiffeId: Type.String(),
  state: Type.Enum(['usable', 'used', 'ended']),
  expiresAt: Moment,
  usedAt: Type.Union([Moment, Nothing]),
  createdAt: Moment,
})

/** A join token that was just made; `token` is shown this once. */
export const CreatedJoinTokenBody = Type.Object({
  ...JoinTokenBody.properties,
  madeEntry: Type.Boolean({ description: 'the entry was made along with it' }),
  token: Type.String({ description: 'shown once; whoever has it can have the SVID' }),
  command: Type.String({ description: 'to run on the other machine' }),
  next: Next,
})

/** Query of the list of join tokens. */
export const JoinTokensQuery = Type.Object(
  { ...PageQuery.properties, entryId: Type.Optional(Type.String({ format: 'uuid' })) },
  { additionalProperties: false },
)

/** Path of an entry. */
export const EntryParams = Type.Object({
  ...MeshParams.properties,
  entryId: Type.String({
    minLength: 1,
    maxLength: MAX_SPIFFE_ID_BYTES,
    description: 'its id, its SPIFFE ID, or the path of it in the primary trust domain',
  }),
})
/** Path of a join token. */
export const JoinTokenParams = Type.Object({
  ...MeshParams.properties,
  tokenId: Type.String({ format: 'uuid' }),
})

/** An entry on the wire. */
export type EntryView = Static<typeof EntryBody>
/** The answer to the creation of an entry. */
export type CreatedEntryView = Static<typeof CreatedEntryBody>
/** The answer to the deletion of an entry. */
export type EndedEntryView = Static<typeof EndedEntryBody>
/** A join token on the wire. */
export type JoinTokenView = Static<typeof JoinTokenBody>
/** The answer to the creation of a join token. */
export type CreatedJoinTokenView = Static<typeof CreatedJoinTokenBody>
