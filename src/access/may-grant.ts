import { ServiceError } from '../errors.ts'
import { ACTIONS, type ActionRule, type Role, type ScopeKind } from './actions.ts'
import { type Grant, type Principal, type Scope, isAllowed, scopeText } from './principal.ts'

/**
 * The scopes that each role can hold; any other pair says nothing that could be meant.
 *
 * A developer or cluster-admin of everything would be one of meshes that do not exist yet, and a platform-admin of
 * one mesh is its mesh-admin.
 */
export const SCOPES_OF_ROLE: Readonly<Record<Role, readonly Scope['kind'][]>> = {
  'platform-admin': ['everything'],
  'mesh-admin': ['mesh'],
  'cluster-admin': ['mesh', 'clusters'],
  developer: ['mesh', 'namespaces'],
  auditor: ['everything', 'mesh', 'clusters', 'namespaces'],
}

/** Kinds of actions that a grant with a scope can open; `self` needs none. */
const OPENED_BY: Readonly<Record<Scope['kind'], readonly ScopeKind[]>> = {
  everything: ['everything', 'mesh', 'member', 'cluster', 'namespace', 'some-mesh'],
  mesh: ['mesh', 'member', 'cluster', 'namespace', 'some-mesh'],
  clusters: ['member', 'cluster'],
  namespaces: ['member', 'namespace'],
}

/**
 * Whether somebody may give (or take away) a grant: one of their own grants lets them make grants there, reaches at
 * least as far, and allows every action that the new one would.
 *
 * The one place where this is decided, read off the table of actions.
 */
export function mayGrant(held: readonly Grant[], wanted: Grant): boolean {
  const meshId = wanted.scope.kind === 'everything' ? undefined : wanted.scope.meshId
  return held.some(
    (own) =>
      isAllowed([own], 'grant.create', { meshId }) &&
      contains(own.scope, wanted.scope) &&
      opened(wanted).every((rule) => rule.roles.includes(own.role)),
  )
}

/** Throws FORBIDDEN unless {@link mayGrant}; says nothing of whether the mesh exists. */
export function requireMayGrant({ grants, name }: Principal, wanted: Grant): void {
  if (mayGrant(grants, wanted)) return
  const held = grants.map(({ role, scope }) => `${role} on ${scopeText(scope)}`).join(', ')
  throw new ServiceError(
    'FORBIDDEN',
    `nobody gives more than they hold: ${wanted.role} on ${scopeText(wanted.scope)} was wanted, ${name} has ${held}`,
    { next: 'ask an administrator whose grant reaches that far' },
  )
}

/** Whether the first scope has everything that the second one has. */
export function contains(outer: Scope, inner: Scope): boolean {
  if (outer.kind === 'everything') return true
  if (inner.kind === 'everything' || outer.meshId !== inner.meshId) return false
  if (outer.kind === 'mesh') return true
  if (inner.kind !== outer.kind) return false
  return inner.names.every((name) => outer.names.includes(name))
}

function opened({ role, scope }: Grant): ActionRule[] {
  const kinds = OPENED_BY[scope.kind]
  return Object.values<ActionRule>(ACTIONS).filter(
    (rule) => rule.roles.includes(role) && kinds.includes(rule.scope),
  )
}
