/**
 * Roles that a grant can give.
 *
 * platform-admin: everything, also what is unique in the service (mesh ids, trust domains, bundle hosts);
 * mesh-admin: everything of a mesh but what is the platform's; cluster-admin: reads a mesh's topology and changes
 * its clusters, their gateways and the entries tied to them; developer: services and rules of its namespaces;
 * auditor: reads everything in its scope, changes nothing.
 */
export const ROLES = [
  'platform-admin',
  'mesh-admin',
  'cluster-admin',
  'developer',
  'auditor',
] as const

/** One of {@link ROLES}. */
export type Role = (typeof ROLES)[number]

/**
 * How far a grant must reach for an action.
 *
 * `everything`: the whole service. `mesh`: all of the mesh named in the route's `:meshId`. `member`: any part of
 * that mesh. `cluster`, `namespace`: the one that the route names in `:cluster` or `:namespace`; where the route
 * names none, what a body or a filter names is checked through access/owner-scope.ts. `some-mesh`: all of any
 * mesh, and the handler leaves out what lies in others. `self`: nothing beyond being somebody, likewise.
 */
export type ScopeKind =
  'everything' | 'mesh' | 'member' | 'cluster' | 'namespace' | 'some-mesh' | 'self'

/** What an action needs. */
export interface ActionRule {
  readonly scope: ScopeKind
  readonly roles: readonly Role[]
}

/** Changes what concerns the whole service. */
const service = { scope: 'everything', roles: ['platform-admin'] } as const
/** Reads what concerns the whole service. */
const serviceRead = { scope: 'everything', roles: ['platform-admin', 'auditor'] } as const
/** Changes a mesh: authorities, relationships, entries, quotas of namespaces and so on. */
const meshWrite = { scope: 'mesh', roles: ['platform-admin', 'mesh-admin'] } as const
/** Reads what concerns a whole mesh. */
const meshRead = { scope: 'mesh', roles: ['platform-admin', 'mesh-admin', 'auditor'] } as const
/** Reads what whoever has a part of a mesh needs to know of it: its name, its relationships, its topology. */
const memberRead = { scope: 'member', roles: ROLES } as const
/** Says which objects a file made; only of those that the author may change, which the handler finds out. */
const appliedWrite = {
  scope: 'member',
  roles: ['platform-admin', 'mesh-admin', 'cluster-admin', 'developer'],
} as const
/** Makes and deletes clusters and networks: for cluster-admins of the whole mesh. */
const topologyWrite = {
  scope: 'mesh',
  roles: ['platform-admin', 'mesh-admin', 'cluster-admin'],
} as const
/** Changes one cluster and what it runs: gateways, control planes, entries tied to it. */
const clusterWrite = {
  scope: 'cluster',
  roles: ['platform-admin', 'mesh-admin', 'cluster-admin'],
} as const
/** Reads what belongs to one cluster; its topology is {@link memberRead}. */
const clusterRead = {
  scope: 'cluster',
  roles: ['platform-admin', 'mesh-admin', 'cluster-admin', 'auditor'],
} as const
/** Changes what lies in a namespace: services and rules. */
const namespaceWrite = {
  scope: 'namespace',
  roles: ['platform-admin', 'mesh-admin', 'developer'],
} as const
/** Reads what lies in a namespace: services, rules, endpoints, decisions. */
const namespaceRead = {
  scope: 'namespace',
  roles: ['platform-admin', 'mesh-admin', 'developer', 'auditor'],
} as const
/** Changes what lies in meshes without being named below one: tokens and grants. */
const someMeshWrite = { scope: 'some-mesh', roles: ['platform-admin', 'mesh-admin'] } as const
/** Reads what lies in meshes without being named below one. */
const someMeshRead = {
  scope: 'some-mesh',
  roles: ['platform-admin', 'mesh-admin', 'auditor'],
} as const
/** For everybody; lists leave out what is not the reader's. */
const self = { scope: 'self', roles: ROLES } as const

/**
 * The one table of action × role × scope.
 *
 * Every admin route names its row in `config.action`; a route without one stops the service at start. Names of
 * meshes, trust domains and bundle hosts are unique in the service, so setting them is for `everything`.
 */
export const ACTIONS = {
  'alert.list': serviceRead,
  'api-token.create': someMeshWrite,
  'api-token.delete': someMeshWrite,
  'api-token.list': someMeshRead,
  'applied.forget': appliedWrite,
  'applied.list': memberRead,
  'applied.record': appliedWrite,
  'audit.list': someMeshRead,
  'audit.verify': serviceRead,
  'authority.activate': meshWrite,
  'authority.list': meshRead,
  'authority.prepare': meshWrite,
  'authority.read': meshRead,
  'bundle.read': memberRead,
  'bundle-reader.create': meshWrite,
  'bundle-reader.delete': meshWrite,
  'bundle-reader.list': meshRead,
  'cluster.create': topologyWrite,
  'cluster.delete': topologyWrite,
  'cluster.list': memberRead,
  'cluster.move': service,
  'cluster.read': memberRead,
  'cluster.update': clusterWrite,
  'control-plane.create': clusterWrite,
  'control-plane.delete': clusterWrite,
  'control-plane.heartbeat': clusterWrite,
  'control-plane.list': memberRead,
  'control-plane.read': memberRead,
  'control-plane.update': clusterWrite,
  'distrusted-key.create': meshWrite,
  'distrusted-key.delete': meshWrite,
  'distrusted-key.list': meshRead,
  'egress-rule.create': service,
  'egress-rule.delete': service,
  'egress-rule.list': serviceRead,
  'endpoint.list': namespaceRead,
  'entry.create': clusterWrite,
  'entry.delete': clusterWrite,
  'entry.list': clusterRead,
  'entry.read': clusterRead,
  'entry.update': clusterWrite,
  'export.list': namespaceRead,
  'gateway.create': clusterWrite,
  'gateway.delete': clusterWrite,
  'gateway.heartbeat': clusterWrite,
  'gateway.list': memberRead,
  'gateway.read': memberRead,
  'gateway.update': clusterWrite,
  'grant.create': someMeshWrite,
  'grant.delete': someMeshWrite,
  'grant.list': someMeshRead,
  'invite.accept': meshWrite,
  'invite.create': meshWrite,
  'invite.delete': meshWrite,
  'invite.list': meshRead,
  'join-token.create': clusterWrite,
  'join-token.delete': clusterWrite,
  'join-token.list': clusterRead,
  'mesh.adopt': service,
  'mesh-alert.list': meshRead,
  'mesh-webhook.create': meshWrite,
  'mesh-webhook.delete': meshWrite,
  'mesh-webhook.deliveries': meshRead,
  'mesh-webhook.list': meshRead,
  'mesh-webhook.retry': meshWrite,
  'mesh-webhook.test': meshWrite,
  'mesh.create': service,
  'mesh.delete': service,
  'mesh.list': self,
  'mesh.move': service,
  'mesh.read': memberRead,
  'mesh.update': meshWrite,
  'network.create': topologyWrite,
  'network.delete': topologyWrite,
  'network.list': memberRead,
  'network.read': memberRead,
  'network.share': service,
  'network.update': topologyWrite,
  'namespace-quota.set': meshWrite,
  'offer.create': meshWrite,
  'offer.delete': meshWrite,
  'offer.list': memberRead,
  'peer-group.create': meshWrite,
  'peer-group.delete': meshWrite,
  'peer-group.list': memberRead,
  'peer-group.read': memberRead,
  'peer-group.update': meshWrite,
  'policy.explain': namespaceRead,
  'policy.lint': meshRead,
  'policy.resolve': namespaceRead,
  'quota.list': namespaceRead,
  'quota.set': service,
  'relationship.approve': meshWrite,
  'relationship.approve-change': meshWrite,
  'relationship.approve-bundle': meshWrite,
  'relationship.create': meshWrite,
  'relationship.delete': meshWrite,
  'relationship.drop-change': meshWrite,
  'relationship.doctor': meshWrite,
  'relationship.list': memberRead,
  'relationship.propose-change': meshWrite,
  'relationship.read': memberRead,
  'relationship.refresh': meshWrite,
  'relationship.reject-bundle': meshWrite,
  'relationship.resume': meshWrite,
  'relationship.set-bundle': meshWrite,
  'relationship.suspend': meshWrite,
  'relationship.terminate': meshWrite,
  'relationship.update': meshWrite,
  'relationship.withdraw': meshWrite,
  'rule.create': namespaceWrite,
  'rule.delete': namespaceWrite,
  'rule.list': namespaceRead,
  'rule.read': namespaceRead,
  'rule.update': namespaceWrite,
  'service.create': namespaceWrite,
  'service.delete': namespaceWrite,
  'service.list': namespaceRead,
  'service.read': namespaceRead,
  'service.sync': clusterWrite,
  'service.update': namespaceWrite,
  'trust-domain.list': memberRead,
  'trust.read': meshRead,
  'trust-domain.manage': service,
  'trust-domain.release': service,
  'trust-domain.update': meshWrite,
  'usage.read': namespaceRead,
  'webhook.create': service,
  'webhook.delete': service,
  'webhook.deliveries': serviceRead,
  'webhook.list': serviceRead,
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
