import { type FieldError, ServiceError } from '../errors.ts'
import type { Role } from './actions.ts'
import { SCOPES_OF_ROLE } from './may-grant.ts'
import type { Grant, Scope } from './principal.ts'

/** A grant as somebody writes it. */
export interface GrantDraft {
  /** Default: what the scope suggests, see {@link readGrant}. */
  readonly role?: Role | undefined
  readonly meshId?: string | undefined
  readonly clusters?: readonly string[] | undefined
  readonly namespaces?: readonly string[] | undefined
}

const DEFAULT_ROLE: Readonly<Record<Scope['kind'], Role>> = {
  everything: 'platform-admin',
  mesh: 'mesh-admin',
  clusters: 'cluster-admin',
  namespaces: 'developer',
}

/**
 * The grant that a draft means. Without a role it is the administrator's of the scope: platform-admin, mesh-admin,
 * cluster-admin, developer.
 *
 * Throws INVALID_REQUEST for parts without a mesh, clusters and namespaces at once, and a role that has no such scope.
 */
export function readGrant({ role: named, ...draft }: GrantDraft): Grant {
  const scope = readScope(draft)
  const role = named ?? DEFAULT_ROLE[scope.kind]
  const legal = SCOPES_OF_ROLE[role]
  if (legal.includes(scope.kind)) return { role, scope }
  const found = scope.kind === 'everything' ? 'no meshId' : `the scope ${scope.kind}`
  const detail = `${role} is for ${legal.join(' or ')}, and the grant has ${found}`
  throw refused(detail, { in: 'body', pointer: '/role', detail })
}

function readScope({ meshId, clusters, namespaces }: Omit<GrantDraft, 'role'>): Scope {
  if (clusters !== undefined && namespaces !== undefined) {
    const detail = 'a grant is for clusters or for namespaces, not both: make two'
    throw refused(detail, { in: 'body', pointer: '/clusters', detail })
  }
  const names = clusters ?? namespaces
  if (meshId === undefined) {
    if (names === undefined) return { kind: 'everything' }
    const detail = 'clusters and namespaces are of a mesh: name it'
    throw refused(detail, { in: 'body', pointer: '/meshId', detail })
  }
  if (names === undefined) return { kind: 'mesh', meshId }
  const kind = clusters === undefined ? 'namespaces' : 'clusters'
  return { kind, meshId, names: [...new Set(names)].toSorted() }
}

function refused(message: string, field: FieldError): ServiceError {
  return new ServiceError('INVALID_REQUEST', message, {
    fields: [field],
    next: 'entente grant create --help',
  })
}
