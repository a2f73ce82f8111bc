import { type Static, type TInteger, type TOptional, Type } from 'typebox'
import { PageQuery } from '../../http/page.ts'
import { NAMESPACE_QUOTA_KINDS, QUOTA_KINDS, type QuotaKind } from './quota.ts'

const MAX_QUOTA = 2_000_000_000

function limitsSchema(kinds: readonly QuotaKind[]) {
  const entries = kinds.map((kind) => [
    kind,
    Type.Optional(
      Type.Integer({ minimum: 0, maximum: MAX_QUOTA, description: 'At most; absent: no limit' }),
    ),
  ])
  const properties = Object.fromEntries(entries) as Record<QuotaKind, TOptional<TInteger>>
  return Type.Object(properties, { additionalProperties: false })
}

/** Quotas of a mesh: all of them, in the place of those that it had. */
export const MeshQuotasBody = limitsSchema(QUOTA_KINDS)

/** Quotas of a namespace. */
export const NamespaceQuotasBody = limitsSchema(NAMESPACE_QUOTA_KINDS)

const Namespace = Type.String({ maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' })

/** Names a mesh in a path. */
export const QuotaMeshParams = Type.Object({ meshId: Type.String() })

/** Names a namespace of a mesh in a path. */
export const QuotaNamespaceParams = Type.Object({ meshId: Type.String(), namespace: Namespace })

/** Quotas of a mesh or of a namespace. */
export const QuotaBody = Type.Object({
  namespace: Type.Union([Type.String(), Type.Null()], { description: 'null: the whole mesh' }),
  limits: MeshQuotasBody,
  version: Type.String({ description: 'of the limits; "v<version>" is their ETag' }),
})

/** Quotas as the API shows them. */
export type QuotaView = Static<typeof QuotaBody>

/** Query of the list of quotas. */
export const QuotasQuery = PageQuery

/** Query of usage. */
export const UsageQuery = Type.Object(
  {
    namespace: Type.Optional(
      Type.String({
        maxLength: 63,
        description: 'Of this namespace only; whoever has only some namespaces names one',
      }),
    ),
  },
  { additionalProperties: false },
)

const Count = Type.String({ pattern: '^[0-9]+$', description: 'A decimal number' })

/** What a mesh or a namespace uses. */
export const UsageBody = Type.Object({
  meshId: Type.String(),
  namespace: Type.Union([Type.String(), Type.Null()]),
  counters: Type.Array(
    Type.Object({
      kind: Type.Enum([...QUOTA_KINDS, 'endpoints']),
      used: Count,
      limit: Type.Union([Type.Integer(), Type.Null()], { description: 'null: no limit' }),
    }),
  ),
  svids: Type.Array(Type.Object({ day: Type.String({ description: 'UTC' }), issued: Count }), {
    description: 'Issued by day, newest first, 31 days; added up every ten seconds',
  }),
})

/** Usage as the API shows it. */
export type UsageView = Static<typeof UsageBody>
