import { ACTIONS, type Action, type ActionRule, type Role } from './actions.ts'

/** Where a grant reaches: the whole service, one mesh, or clusters or namespaces of one mesh. */
export type Scope =
  | { readonly kind: 'everything' }
  | { readonly kind: 'mesh'; readonly meshId: string }
  | {
      readonly kind: 'clusters' | 'namespaces'
      readonly meshId: string
      /** At least one, sorted, each once. */
      readonly names: readonly string[]
    }

/** A role, and where it holds. */
export interface Grant {
  readonly role: Role
  readonly scope: Scope
}

/** A grant as it is held: its id names it in the API. */
export interface HeldGrant extends Grant {
  readonly id: string
}

/** Who is asking. */
export interface Principal {
  /** How the audit log names it: `token:<label>:<first 8 characters of the token's id>`. */
  readonly name: string
  readonly tokenId: string
  readonly label: string
  readonly expiresAt: Date | undefined
  readonly grants: readonly HeldGrant[]
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is asking; set by the access hook before any handler of `/v1` runs. */
    principal: Principal
  }
}

/** The principal that a token stands for. */
export function principalOf(
  token: { readonly id: string; readonly label: string; readonly expiresAt: Date | undefined },
  grants: readonly HeldGrant[],
): Principal {
  const name = `token:${token.label}:${token.id.slice(0, 8)}`
  return { name, tokenId: token.id, label: token.label, expiresAt: token.expiresAt, grants }
}

/** What a request is about, as far as its route says. */
export interface Place {
  readonly meshId?: string | undefined
  readonly cluster?: string | undefined
  readonly namespace?: string | undefined
}

/**
 * Whether grants allow an action at a place.
 *
 * A grant on a mesh is good for that mesh only, never for actions of the service; one on clusters or namespaces
 * for those, and for what all who have a part of the mesh may do. A place without a cluster or namespace asks
 * whether some of them is in reach. To ask who one is needs no grant.
 */
export function isAllowed(grants: readonly Grant[], action: Action, place: Place): boolean {
  if (ACTIONS[action].scope === 'self') return true
  return grants.some((grant) => allows(grant, action, place))
}

/** Whether one grant allows an action at a place; see {@link isAllowed}. */
export function allows({ role, scope }: Grant, action: Action, place: Place): boolean {
  const rule: ActionRule = ACTIONS[action]
  return rule.roles.includes(role) && reaches(scope, rule, place)
}

function reaches(scope: Scope, rule: ActionRule, place: Place): boolean {
  if (scope.kind === 'everything' || rule.scope === 'self') return true
  if (rule.scope === 'everything') return false
  if (rule.scope === 'some-mesh') return scope.kind === 'mesh'
  if (place.meshId === undefined || scope.meshId !== place.meshId) return false
  return scope.kind === 'mesh' || rule.scope === 'member' || reachesPart(scope, rule, place)
}

function reachesPart(
  scope: Scope & { readonly names: readonly string[] },
  rule: ActionRule,
  { cluster, namespace }: Place,
): boolean {
  const [kind, name] =
    scope.kind === 'clusters'
      ? (['cluster', cluster] as const)
      : (['namespace', namespace] as const)
  return rule.scope === kind && (name === undefined || scope.names.includes(name))
}

/** A scope as it stands in messages: `everything`, `mesh acme`, or `namespaces pay, shop of mesh acme`. */
export function scopeText(scope: Scope): string {
  if (scope.kind === 'everything') return 'everything'
  if (scope.kind === 'mesh') return `mesh ${scope.meshId}`
  return `${scope.kind} ${scope.names.join(', ')} of mesh ${scope.meshId}`
}
