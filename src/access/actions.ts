/** Roles that a grant can give. */
export const ROLES = ['platform-admin'] as const

/** One of {@link ROLES}. */
export type Role = (typeof ROLES)[number]

/**
 * How far a grant must reach for an action: the whole service, the mesh named in the route's `:meshId`, or
 * nothing beyond being somebody (`self`).
 */
export type ScopeKind = 'everything' | 'mesh' | 'self'

/** What an action needs. */
export interface ActionRule {
  readonly scope: ScopeKind
  readonly roles: readonly Role[]
}

const service = { scope: 'everything', roles: ['platform-admin'] } as const
const mesh = { scope: 'mesh', roles: ['platform-admin'] } as const
const self = { scope: 'self', roles: ROLES } as const

/**
 * The one table of action × role × scope.
 *
 * Every admin route names its row in `config.action`; a route without one stops the service at start. Names of
 * meshes, trust domains and bundle hosts are unique in the service, so setting them is for `everything`.
 */
export const ACTIONS = {
  'alert.list': service,
  'api-token.create': service,
  'api-token.delete': service,
  'api-token.list': service,
  'applied.forget': mesh,
  'applied.list': mesh,
  'applied.record': mesh,
  'audit.list': service,
  'audit.verify': service,
  'authority.activate': mesh,
  'authority.list': mesh,
  'authority.prepare': mesh,
  'authority.read': mesh,
  'bundle.read': mesh,
  'bundle-reader.create': mesh,
  'bundle-reader.delete': mesh,
  'bundle-reader.list': mesh,
  'distrusted-key.create': mesh,
  'distrusted-key.delete': mesh,
  'distrusted-key.list': mesh,
  'egress-rule.create': service,
  'egress-rule.delete': service,
  'egress-rule.list': service,
  'entry.create': mesh,
  'entry.delete': mesh,
  'entry.list': mesh,
  'entry.read': mesh,
  'entry.update': mesh,
  'invite.accept': mesh,
  'invite.create': mesh,
  'invite.delete': mesh,
  'invite.list': mesh,
  'join-token.create': mesh,
  'join-token.delete': mesh,
  'join-token.list': mesh,
  'mesh.adopt': service,
  'mesh-alert.list': mesh,
  'mesh-webhook.create': mesh,
  'mesh-webhook.delete': mesh,
  'mesh-webhook.deliveries': mesh,
  'mesh-webhook.list': mesh,
  'mesh-webhook.retry': mesh,
  'mesh-webhook.test': mesh,
  'mesh.create': service,
  'mesh.delete': service,
  'mesh.list': service,
  'mesh.move': service,
  'mesh.read': mesh,
  'mesh.update': mesh,
  'offer.create': mesh,
  'offer.delete': mesh,
  'offer.list': mesh,
  'peer-group.create': mesh,
  'peer-group.delete': mesh,
  'peer-group.list': mesh,
  'peer-group.read': mesh,
  'peer-group.update': mesh,
  'policy.explain': mesh,
  'relationship.approve': mesh,
  'relationship.approve-change': mesh,
  'relationship.approve-bundle': mesh,
  'relationship.create': mesh,
  'relationship.delete': mesh,
  'relationship.drop-change': mesh,
  'relationship.doctor': mesh,
  'relationship.list': mesh,
  'relationship.propose-change': mesh,
  'relationship.read': mesh,
  'relationship.refresh': mesh,
  'relationship.reject-bundle': mesh,
  'relationship.resume': mesh,
  'relationship.set-bundle': mesh,
  'relationship.suspend': mesh,
  'relationship.terminate': mesh,
  'relationship.update': mesh,
  'relationship.withdraw': mesh,
  'rule.create': mesh,
  'rule.delete': mesh,
  'rule.list': mesh,
  'rule.read': mesh,
  'rule.update': mesh,
  'service.create': mesh,
  'service.delete': mesh,
  'service.list': mesh,
  'service.read': mesh,
  'service.update': mesh,
  'trust-domain.list': mesh,
  'trust.read': mesh,
  'trust-domain.manage': service,
  'trust-domain.release': service,
  'trust-domain.update': mesh,
  'webhook.create': service,
  'webhook.delete': service,
  'webhook.deliveries': service,
  'webhook.list': service,
  'webhook.retry': service,
  'webhook.test': service,
  'whoami.read': self,
} as const satisfies Record<string, ActionRule>

/** The name of a row of {@link ACTIONS}; a route's `config.action`. */
export type Action = keyof typeof ACTIONS

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The row of the action table that this route passes through. */
    action?: Action
  }
}

/** Whether a text names a row of the table. */
export function isAction(text: unknown): text is Action {
  return typeof text === 'string' && Object.hasOwn(ACTIONS, text)
}
