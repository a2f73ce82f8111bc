/** The fields of an AuthorizationPolicy that speak of a caller's identity; fields of one source must all match. */
export const IDENTITY_FIELDS = [
  'principals',
  'namespaces',
  'serviceAccounts',
  'trustDomains',
] as const
/** One of {@link IDENTITY_FIELDS}. */
export type IdentityField = (typeof IDENTITY_FIELDS)[number]

/** Stands for a trust domain that nobody federates with yet: no name can be it. */
export const LATER = '*later*'

/** Istio's word for whatever the mesh calls itself, aliases included. */
export const CLUSTER_LOCAL = 'cluster.local'

/**
 * Whether identities of a trust domain can match a value of a field.
 *
 * As Istio builds its matchers (pilot/pkg/security/authz/model): principals are `<domain>/ns/<ns>/sa/<sa>` with `*`
 * whole, first or last; namespaces and service accounts become expressions that every trust domain fits.
 */
export function canMatch(field: IdentityField, value: string, domain: string): boolean {
  if (field === 'namespaces' || field === 'serviceAccounts') return true
  if (field === 'trustDomains') return fits(value, domain)
  if (value.startsWith('*')) return fitsTail(value.slice(1), domain)
  const [named = '', ...rest] = value.split('/')
  if (rest.length > 0) return named === domain
  return named.endsWith('*') && domain.startsWith(named.slice(0, -1))
}

/** Whether a value leaves open which trust domain is meant. */
export function isUnscoped(field: IdentityField, value: string): boolean {
  if (field === 'namespaces' || field === 'serviceAccounts') return true
  if (field === 'trustDomains') return value.includes('*')
  return value.startsWith('*') || !value.includes('/')
}

/** The trust domain that a principal names in full, if it does. */
export function domainNamed(principal: string): string | undefined {
  const slash = principal.indexOf('/')
  const domain = principal.slice(0, Math.max(slash, 0))
  return slash < 1 || domain.includes('*') ? undefined : domain
}

function fits(pattern: string, value: string): boolean {
  if (pattern.startsWith('*')) return value.endsWith(pattern.slice(1))
  return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : pattern === value
}

// What stands before `/ns/` in the text after a leading star is the end of a domain's name.
function fitsTail(tail: string, domain: string): boolean {
  const at = tail.indexOf('/ns/')
  return at < 1 ? true : domain.endsWith(tail.slice(0, at))
}
