import { ACTIONS, type Action, type ActionRule, type Role } from './actions.ts'

/** Where a grant reaches: the whole service, or one mesh. */
export type Scope =
  { readonly kind: 'everything' } | { readonly kind: 'mesh'; readonly meshId: string }

/** A role, and where it holds. */
export interface Grant {
  readonly role: Role
  readonly scope: Scope
}

/** Who is asking. */
export interface Principal {
  /** How the audit log names it: `token:<label>:<first 8 characters of the token's id>`. */
  readonly name: string
  readonly tokenId: string
  readonly label: string
  readonly expiresAt: Date | undefined
  readonly grants: readonly Grant[]
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
  grants: readonly Grant[],
): Principal {
  const name = `token:${token.label}:${token.id.slice(0, 8)}`
  return { name, tokenId: token.id, label: token.label, expiresAt: token.expiresAt, grants }
}

/**
 * Whether grants allow an action, on the mesh that the route names.
 *
 * A grant on a mesh is good for actions of that mesh only, never for actions of the service; to ask who one is
 * needs no grant.
 */
export function isAllowed(
  grants: readonly Grant[],
  action: Action,
  meshId: string | undefined,
): boolean {
  const rule: ActionRule = ACTIONS[action]
  if (rule.scope === 'self') return true
  return grants.some((grant) => rule.roles.includes(grant.role) && reaches(grant, rule, meshId))
}

function reaches({ scope }: Grant, rule: ActionRule, meshId: string | undefined): boolean {
  if (scope.kind === 'everything') return true
  return rule.scope === 'mesh' && meshId !== undefined && scope.meshId === meshId
}

/** A scope as it stands in messages: `everything`, or `mesh acme`. */
export function scopeText(scope: Scope): string {
  return scope.kind === 'everything' ? 'everything' : `mesh ${scope.meshId}`
}
