import { ServiceError, quoted } from '../errors.ts'
import { type Action } from './actions.ts'
import { type Principal, type Scope, allows, scopeText } from './principal.ts'

/** Namespaces (or clusters, or meshes) that somebody may speak for; undefined = all of them. */
export type OwnerScope = readonly string[] | undefined

/**
 * The namespaces that a principal may act in by an action of the kind `namespace`; undefined = all of the mesh.
 *
 * The access hook let the request in, so some grant allows the action; without one the answer is no namespace at all.
 */
export function ownerScopeOf(principal: Principal, action: Action, meshId: string): OwnerScope {
  return partsOf(principal, action, { meshId, kind: 'namespaces' })
}

/**
 * The clusters that a principal may act on by an action of the kind `cluster`; undefined = all of the mesh.
 */
export function ownerClustersOf(principal: Principal, action: Action, meshId: string): OwnerScope {
  return partsOf(principal, action, { meshId, kind: 'clusters' })
}

/** The meshes that a principal may act on by an action of the kind `some-mesh` or `self`; undefined = all. */
export function ownerMeshesOf(principal: Principal, action: Action): OwnerScope {
  const meshes = scopesOf(principal, action).map((scope) =>
    scope.kind === 'everything' ? undefined : scope.meshId,
  )
  if (meshes.includes(undefined)) return undefined
  return [...new Set(meshes.filter((mesh) => mesh !== undefined))].toSorted()
}

/** How far a principal's grants reach for an action, each as a text; sorted, so that equal rights are equal lists. */
export function reachOf(principal: Principal, action: Action, meshId?: string): readonly string[] {
  return [...new Set(scopesOf(principal, action, meshId).map(scopeText))].toSorted()
}

/** What somebody wants to make, change or delete. */
export interface Owned {
  /** As a message names it: `service shop/cart`, `the rule's subject`. */
  readonly title: string
  /** Every namespace (or cluster) that it lies in or speaks for, as written; a pattern lies in none of one's own. */
  readonly within: readonly string[]
  /** What its author can do, where that is known better. */
  readonly next?: string | undefined
}

/**
 * Refuses to write what lies outside the namespaces (or clusters) that its author may speak for: the one place where
 * owner scopes are enforced on writes. Throws FORBIDDEN, the same whether or not anything is there.
 */
export function requireOwned(ownerScope: OwnerScope, { title, within, next }: Owned): void {
  if (isOwned(ownerScope, within)) return
  const outside = within.filter((name) => ownerScope?.includes(name) !== true)
  const found = within.length === 0 ? 'everything' : outside.map((name) => quoted(name)).join(', ')
  const own = ownerScope?.join(', ')
  throw new ServiceError(
    'FORBIDDEN',
    `${title} reaches ${found}, and your grant is good for ${own === '' ? 'nothing' : own} only`,
    { next: next ?? 'name what is yours, or ask a mesh-admin for a grant: entente grant create' },
  )
}

/** Whether something lies wholly within an owner scope; what lies nowhere in particular does only in a whole mesh. */
export function isOwned(ownerScope: OwnerScope, within: readonly string[]): boolean {
  if (ownerScope === undefined) return true
  return within.length > 0 && within.every((name) => ownerScope.includes(name))
}

function partsOf(
  principal: Principal,
  action: Action,
  { meshId, kind }: { readonly meshId: string; readonly kind: 'clusters' | 'namespaces' },
): OwnerScope {
  const scopes = scopesOf(principal, action, meshId)
  if (scopes.some((scope) => scope.kind === 'everything' || scope.kind === 'mesh')) return undefined
  const names = scopes.flatMap((scope) => (scope.kind === kind ? scope.names : []))
  return [...new Set(names)].toSorted()
}

function scopesOf(principal: Principal, action: Action, meshId?: string): Scope[] {
  return principal.grants
    .filter((grant) => {
      const own = grant.scope.kind === 'everything' ? undefined : grant.scope.meshId
      return allows(grant, action, { meshId: meshId ?? own })
    })
    .map(({ scope }) => scope)
}
