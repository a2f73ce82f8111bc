import { noSuchMesh } from '../access/no-such-mesh.ts'
import { requireOwned } from '../access/owner-scope.ts'
import { requireQuota } from '../access/quota/require-quota.ts'
import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpObjects } from '../db/changes.ts'
import { isForeignKeyViolation, isUniqueViolation } from '../db/failures.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import { loadMesh, trustDomainsOf } from '../mesh/find-mesh.ts'
import { mergeLabels } from './label.ts'
import {
  type Owner,
  parseService,
  type Service,
  type ServiceContent,
  type ServiceDraft,
  type ServiceName,
  serviceTitle,
} from './service.ts'
import * as store from './store.ts'

/**
 * Adds a service to the catalogue of a mesh, in the caller's transaction; it is visible to nobody until a rule says so.
 *
 * Throws FORBIDDEN outside its author's namespaces, NOT_FOUND, SERVICE_INVALID,
 * QUOTA_EXCEEDED, ALREADY_EXISTS.
 */
export async function createService(
  trx: Db,
  meshId: MeshId,
  { draft, context }: { readonly draft: ServiceDraft; readonly context: ChangeContext },
): Promise<Service> {
  await loadMesh(trx, meshId)
  const content = parseService(draft, await ownerOf(trx, meshId))
  requireOwnService(content, context)
  await requireQuota(trx, meshId, { kind: 'services', namespaces: [content.namespace] })
  const service = { ...content, managedBy: [], version: 1n, createdAt: context.now }
  try {
    await store.insertService(trx, meshId, service)
  } catch (error) {
    if (isUniqueViolation(error)) throw alreadyThere(content, error)
    if (isForeignKeyViolation(error)) throw noSuchMesh(meshId)
    throw error
  }
  await settle(trx, meshId, {
    context,
    action: 'service.create',
    name: content,
    body: auditedService(content),
  })
  return service
}

/** What of a service can change; what is left out stays, and a label goes by null. */
export interface ServiceEdit extends Partial<Pick<ServiceDraft, 'ports' | 'identities'>> {
  readonly labels?: Readonly<Record<string, string | null>>
}

/** What a change of a service needs. */
export interface ServiceChange {
  readonly name: ServiceName
  readonly change: ServiceEdit
  readonly context: ChangeContext
  /** Refuses when the caller did not see the version that is there. */
  readonly requireVersion: (version: bigint) => void
}

/**
 * Changes where a service listens, who may serve it, or its labels, in the caller's transaction.
 *
 * Throws FORBIDDEN outside its author's namespaces, NOT_FOUND, SERVICE_INVALID, PRECONDITION_FAILED, CONFLICT when a
 * sync keeps it up to date.
 */
export async function changeService(
  trx: Db,
  meshId: MeshId,
  { name, change, context, requireVersion }: ServiceChange,
): Promise<Service> {
  const before = await lockedService(trx, meshId, { name, context })
  requireVersion(before.version)
  if (before.managedBy.length > 0) throw keptElsewhere(before)
  const labels = mergeLabels(before.labels, change.labels ?? {})
  const content = parseService({ ...before, ...change, labels }, await ownerOf(trx, meshId))
  const after = { ...before, ...content, version: before.version + 1n }
  await store.updateService(trx, meshId, after)
  const body = { before: auditedService(before), after: auditedService(after) }
  await settle(trx, meshId, { context, action: 'service.update', name, body })
  return after
}

/** What a deletion of a service needs. */
export type ServiceDeletion = Omit<ServiceChange, 'change'>

/**
 * Deletes a service, in the caller's transaction; rules that name it stay and match nothing.
 *
 * Throws FORBIDDEN outside its author's namespaces, NOT_FOUND, PRECONDITION_FAILED.
 */
export async function deleteService(
  trx: Db,
  meshId: MeshId,
  { name, context, requireVersion }: ServiceDeletion,
): Promise<Service> {
  const before = await lockedService(trx, meshId, { name, context })
  requireVersion(before.version)
  await store.deleteService(trx, meshId, name)
  await settle(trx, meshId, {
    context,
    action: 'service.delete',
    name,
    body: auditedService(before),
  })
  return before
}

/** The part of a service that audit records show. */
export function auditedService({
  ports,
  identities,
  labels,
}: ServiceContent): Record<string, unknown> {
  return { ports, identities, labels }
}

/** The refusal for a service that does not exist. */
export function noSuchService(meshId: MeshId, name: ServiceName): ServiceError {
  return new ServiceError('NOT_FOUND', `mesh ${meshId} has no service ${serviceTitle(name)}`, {
    next: 'entente service list',
  })
}

interface Settlement {
  readonly context: ChangeContext
  readonly action: string
  readonly name: ServiceName
  readonly body: unknown
}

async function settle(
  trx: Db,
  meshId: MeshId,
  { context, action, name, body }: Settlement,
): Promise<void> {
  await recordAudit(trx, {
    meshId,
    at: context.now,
    actor: context.actor,
    action,
    object: `service/${serviceTitle(name)}`,
    body,
  })
  await bumpObjects(trx, meshId, [{ kind: 'service', key: serviceTitle(name) }])
}

async function lockedService(
  trx: Db,
  meshId: MeshId,
  { name, context }: { readonly name: ServiceName; readonly context: ChangeContext },
): Promise<Service> {
  requireOwnService(name, context)
  await loadMesh(trx, meshId)
  const service = await store.lockService(trx, meshId, name)
  if (service === undefined) throw noSuchService(meshId, name)
  return service
}

function requireOwnService(name: ServiceName, { ownerScope }: ChangeContext): void {
  requireOwned(ownerScope, { title: `service ${serviceTitle(name)}`, within: [name.namespace] })
}

/** Whose services those of a mesh are. */
export async function ownerOf(trx: Db, meshId: MeshId): Promise<Owner> {
  const domains = await trustDomainsOf(trx, meshId)
  return {
    title: `mesh ${meshId}`,
    trustDomains: domains.map((domain) => domain.name),
    primary: domains.find((domain) => domain.isPrimary)?.name,
  }
}

function keptElsewhere(service: Service): ServiceError {
  const title = serviceTitle(service)
  return new ServiceError(
    'CONFLICT',
    `service ${title} is kept up to date by ${service.managedBy.join(', ')}, which would undo the change`,
    { next: 'change it where it comes from' },
  )
}

function alreadyThere(name: ServiceName, cause: unknown): ServiceError {
  const title = serviceTitle(name)
  return new ServiceError('ALREADY_EXISTS', `service ${title} is in the catalogue already`, {
    cause,
    next: `entente service list --namespace ${name.namespace}`,
  })
}
