import { createHash } from 'node:crypto'
import { canonicalJson } from '../../audit/canonical-json.ts'
import { ServiceError } from '../../errors.ts'

/** What is counted against a quota. Endpoints are counted but have none: they are a fact, not a wish. */
export const QUOTA_KINDS = ['services', 'rules', 'relationships', 'entries', 'svidsPerDay'] as const

/** One of {@link QUOTA_KINDS}. */
export type QuotaKind = (typeof QUOTA_KINDS)[number]

/** What a namespace can have a quota of: relationships are the mesh's. */
export const NAMESPACE_QUOTA_KINDS = ['services', 'rules', 'entries', 'svidsPerDay'] as const

/** The most of each kind; a kind that is absent has no limit. */
export type QuotaLimits = Readonly<Partial<Record<QuotaKind, number>>>

/**
 * The version of quotas: a digest of what they say, since all of them are set at once. Whoever changes what they read
 * and finds it as it was has lost nothing that others set meanwhile.
 */
export function versionOf(limits: QuotaLimits): string {
  return createHash('sha256').update(canonicalJson(limits)).digest('hex').slice(0, 16)
}

/** Whose quota: a mesh, or a namespace of it. */
export interface QuotaOwner {
  readonly meshId: string
  /** Undefined = the whole mesh. */
  readonly namespace: string | undefined
}

/**
 * The namespace that a SPIFFE ID lies in by its path, `/ns/<namespace>/…` as Istio and SPIRE write it; undefined for
 * other paths.
 */
export function namespaceOfId(spiffeId: string): string | undefined {
  const [, , , root, namespace, rest] = spiffeId.split('/', 6)
  return root === 'ns' && namespace !== '' && rest !== undefined ? namespace : undefined
}

/** A quota that leaves no room. */
export interface FullQuota extends QuotaOwner {
  readonly kind: QuotaKind
  readonly found: number
  readonly limit: number
}

/** The refusal of what goes over a quota: which, found, limit, and who can raise it. */
export function quotaExceeded({ meshId, namespace, kind, found, limit }: FullQuota): ServiceError {
  const whose =
    namespace === undefined ? `mesh ${meshId}` : `namespace ${namespace} of mesh ${meshId}`
  const who = namespace === undefined ? 'a platform-admin' : 'a mesh-admin'
  const part = namespace === undefined ? '' : ` --namespace ${namespace}`
  return new ServiceError(
    'QUOTA_EXCEEDED',
    `the quota ${kind} of ${whose} is used up: found ${found}, limit ${limit}`,
    { next: `${who} can raise it: entente quota set ${kind}=${limit + 1}${part} --mesh ${meshId}` },
  )
}

/** The first limit of a namespace that goes beyond its mesh's. */
export function beyondMesh(limits: QuotaLimits, mesh: QuotaLimits): QuotaKind | undefined {
  return NAMESPACE_QUOTA_KINDS.find((kind) => (limits[kind] ?? 0) > (mesh[kind] ?? Infinity))
}
