import { type Static, Type } from 'typebox'
import { PageQuery } from '../http/page.ts'
import { ACTIONS, ROLES } from './actions.ts'

/** A moment on the wire: RFC 3339, UTC. */
const Moment = Type.String({ format: 'date-time' })

/** Names of clusters or namespaces in a grant: DNS labels. */
const Names = (description: string) =>
  Type.Optional(
    Type.Array(Type.String({ maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' }), {
      minItems: 1,
      maxItems: 100,
      uniqueItems: true,
      description,
    }),
  )

const GRANT = {
  meshId: Type.Optional(
    Type.String({ maxLength: 63, description: 'Good for this mesh only; absent: everything' }),
  ),
  clusters: Names('Good for these clusters of the mesh only'),
  namespaces: Names('Good for these namespaces of the mesh only'),
}

const RoleName = Type.Enum([...ROLES], {
  description:
    'platform-admin: everything; mesh-admin: a mesh; cluster-admin: a mesh or clusters of it; developer: a mesh or namespaces of it; auditor: reads whatever the scope is',
})

/** A role, and where it holds. */
export const GrantBody = Type.Object({
  id: Type.String({ format: 'uuid' }),
  role: RoleName,
  ...GRANT,
})

/** A role, and where it holds, as the API shows it. */
export type GrantView = Static<typeof GrantBody>

/** An API token without its secret. */
export const ApiTokenBody = Type.Object({
  id: Type.String({ format: 'uuid' }),
  label: Type.String(),
  createdAt: Moment,
  expiresAt: Type.Union([Moment, Type.Null()], { description: 'null: does not end by itself' }),
  revokedAt: Type.Union([Moment, Type.Null()]),
  grants: Type.Array(GrantBody),
})

/** An API token as the API shows it. */
export type ApiTokenView = Static<typeof ApiTokenBody>

/** Life of a token that names none: 90 days, in seconds. */
const DEFAULT_TOKEN_TTL_SECONDS = 90 * 86_400

/** What is wanted of a new token. */
export const CreateApiTokenBody = Type.Object(
  {
    label: Type.String({
      pattern: '^[a-z0-9][a-z0-9._-]{0,62}$',
      description: 'What the token is for; it stands in the audit log with everything done by it',
    }),
    ttlSeconds: Type.Integer({
      minimum: 60,
      maximum: 366 * 86_400,
      default: DEFAULT_TOKEN_TTL_SECONDS,
      description: 'Seconds until it ends: 60 to 366 days',
    }),
    role: Type.Optional(RoleName),
    ...GRANT,
  },
  { additionalProperties: false },
)

/** A new token with its secret, which is never shown again. */
export const CreatedApiTokenBody = Type.Object({
  ...ApiTokenBody.properties,
  token: Type.Optional(
    Type.String({ description: 'The secret, shown this once; absent in a dry run' }),
  ),
  next: Type.Array(Type.String()),
})

/** A new token as the API shows it. */
export type CreatedApiTokenView = Static<typeof CreatedApiTokenBody>

/** One more grant for a token. */
export const CreateGrantBody = Type.Object(
  {
    tokenId: Type.String({ format: 'uuid', description: 'The token that gets it' }),
    role: Type.Optional(RoleName),
    ...GRANT,
  },
  { additionalProperties: false },
)

/** A grant of a token. */
export const TokenGrantBody = Type.Object({
  ...GrantBody.properties,
  tokenId: Type.String({ format: 'uuid' }),
  createdAt: Moment,
})

/** A grant of a token, as the API shows it. */
export type TokenGrantView = Static<typeof TokenGrantBody>

/** A new grant. */
export const CreatedGrantBody = Type.Object({
  ...TokenGrantBody.properties,
  next: Type.Array(Type.String()),
})

/** A new grant, as the API shows it. */
export type CreatedGrantView = Static<typeof CreatedGrantBody>

/** Query of the list of grants. */
export const GrantsQuery = Type.Object(
  {
    ...PageQuery.properties,
    tokenId: Type.Optional(Type.String({ format: 'uuid', description: 'Of this token only' })),
  },
  { additionalProperties: false },
)

/** Who is asking, and what they may do. */
export const WhoamiBody = Type.Object({
  name: Type.String({ description: 'How the audit log names you' }),
  tokenId: Type.String({ format: 'uuid' }),
  label: Type.String(),
  expiresAt: Type.Union([Moment, Type.Null()]),
  grants: Type.Array(GrantBody),
  actions: Type.Array(Type.Enum(Object.keys(ACTIONS)), {
    description: 'Every action that some grant allows, for a grant on a mesh within that mesh',
  }),
})

/** Who is asking, as the API shows it. */
export type WhoamiView = Static<typeof WhoamiBody>
