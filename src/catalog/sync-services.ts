import { requireQuota } from '../access/quota/require-quota.ts'
import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpObjects } from '../db/changes.ts'
import { chunksOf } from '../db/chunks.ts'
import { type MeshId } from '../db/ids.ts'
import { lockMeshes } from '../db/lock-meshes.ts'
import { type Db } from '../db/schema.ts'
import { type FieldError, isServiceError, quoted, ServiceError } from '../errors.ts'
import { clustersOf, loadMesh } from '../mesh/find-mesh.ts'
import { auditedService, ownerOf } from './change-services.ts'
import { planSync, type SyncPlan } from './plan-sync.ts'
import {
  type Owner,
  parseService,
  type Service,
  type ServiceContent,
  type ServiceDraft,
  type ServiceName,
  serviceTitle,
} from './service.ts'
import { listServices } from './store.ts'
import * as store from './sync-store.ts'

/** Most services that a source speaks of. */
export const MAX_SYNCED = 10_000
/** Field errors that one refusal names. */
const MOST_NAMED = 100
/** Services in one audit record. */
const AUDITED_TOGETHER = 200
/** Lists shorter than this may shrink to anything without saying so. */
const NON_TRIVIAL = 10

/** Everything that a source sees of a cluster. */
export interface SyncRequest {
  readonly cluster: string
  /** What keeps the services up to date, as `k8s`. */
  readonly kind: string
  readonly services: readonly ServiceDraft[]
  /** Services that it sees without knowing who serves them; they stay as they are. */
  readonly kept: readonly ServiceName[]
  readonly namespaces: readonly string[] | undefined
  /** Takes a list that is less than half of the one before. */
  readonly intentional: boolean
  readonly context: ChangeContext
}

/**
 * Brings the catalogue to what a source sees of its cluster, in the caller's transaction: makes, changes and deletes
 * what this source keeps, never what people entered or another source still sees.
 *
 * Throws NOT_FOUND, SERVICE_INVALID, REPORT_SHRINKS, QUOTA_EXCEEDED.
 */
export async function syncServices(
  trx: Db,
  meshId: MeshId,
  request: SyncRequest,
): Promise<SyncPlan> {
  const { cluster, kind, context, namespaces } = request
  await loadMesh(trx, meshId)
  const wanted = readDrafts(request, await ownerOf(trx, meshId))
  await lockMeshes(trx, [meshId])
  const known = await clustersOf(trx, meshId)
  if (!known.some(({ name }) => name === cluster)) throw noCluster(meshId, cluster)
  const source = `${kind}:${cluster}`
  const sourced = await store.sourcedContents(trx, meshId, { source, names: wanted })
  const services = await listServices(trx, meshId, {})
  const plan = planSync({
    source,
    now: context.now,
    services: new Map(services.map((service) => [serviceTitle(service), service])),
    sourced,
    wanted,
    kept: new Set(request.kept.map(serviceTitle)),
    namespaces: namespaces === undefined ? undefined : new Set(namespaces),
  })
  if (!request.intentional) checkShrinking(plan)
  await requireRoom(trx, meshId, plan.created)
  await carryOut(trx, meshId, plan)
  await settle(trx, meshId, { plan, source, context })
  return plan
}

async function carryOut(trx: Db, meshId: MeshId, plan: SyncPlan): Promise<void> {
  const { created, updated, deleted, said, unsaid } = plan
  await store.writeServices(trx, meshId, [...created, ...updated.map(({ after }) => after)])
  await store.writeSaid(trx, meshId, { said, unsaid })
  await store.deleteServices(trx, meshId, deleted)
}

function readDrafts({ services, namespaces }: SyncRequest, owner: Owner): ServiceContent[] {
  const fields: FieldError[] = []
  const seen = new Set<string>()
  const contents: ServiceContent[] = []
  for (const [index, draft] of services.entries()) {
    if (fields.length >= MOST_NAMED) break
    const at = `/services/${index}`
    const title = serviceTitle(draft)
    if (seen.has(title)) fields.push(fault(at, `${title} stands in the list twice`))
    if (namespaces?.includes(draft.namespace) === false) {
      fields.push(fault(`${at}/namespace`, `${title} is in none of the namespaces named`))
    }
    seen.add(title)
    const read = parsed(draft, owner)
    if ('fields' in read) fields.push(...read.fields.map((one) => moved(one, at)))
    else contents.push(read)
  }
  const [first] = fields
  if (first === undefined) return contents
  const message = `${first.pointer}: ${first.detail}`
  throw new ServiceError('SERVICE_INVALID', message, { fields: fields.slice(0, MOST_NAMED) })
}

function parsed(
  draft: ServiceDraft,
  owner: Owner,
): ServiceContent | { readonly fields: readonly FieldError[] } {
  try {
    return parseService(draft, owner)
  } catch (error) {
    if (isServiceError(error, 'SERVICE_INVALID')) return { fields: error.fields }
    throw error
  }
}

function moved({ pointer, detail }: FieldError, at: string): FieldError {
  return fault(`${at}${pointer}`, detail)
}

function fault(pointer: string, detail: string): FieldError {
  return { in: 'body', pointer, detail }
}

function checkShrinking({ said, unsaid }: SyncPlan): void {
  const stays = said.length
  if (unsaid.length + stays < NON_TRIVIAL || unsaid.length <= stays) return
  throw new ServiceError(
    'REPORT_SHRINKS',
    `${unsaid.length} services are no longer seen and only ${stays} still are`,
    { next: 'if so many are really gone: entente service sync --intentional' },
  )
}

/** Counted by namespace, since each may have a quota of its own. */
async function requireRoom(trx: Db, meshId: MeshId, created: readonly Service[]): Promise<void> {
  if (created.length === 0) return
  const namespaces = created.map(({ namespace }) => namespace)
  await requireQuota(trx, meshId, { kind: 'services', namespaces, count: created.length })
}

interface Settlement {
  readonly plan: SyncPlan
  readonly source: string
  readonly context: ChangeContext
}

async function settle(
  trx: Db,
  meshId: MeshId,
  { plan, source, context }: Settlement,
): Promise<void> {
  const changes = [
    ...plan.created.map((after) => ({ service: serviceTitle(after), after: told(after) })),
    ...plan.updated.map(({ before, after }) => {
      return { service: serviceTitle(after), before: told(before), after: told(after) }
    }),
    ...plan.deleted.map((before) => ({ service: serviceTitle(before), before: told(before) })),
  ]
  for (const some of chunksOf(changes, AUDITED_TOGETHER)) {
    await recordAudit(trx, {
      meshId,
      at: context.now,
      actor: context.actor,
      action: 'service.sync',
      object: `services/${source}`,
      body: { changes: some },
    })
  }
  if (changes.length === 0) return
  await bumpObjects(
    trx,
    meshId,
    changes.map(({ service: key }) => ({ kind: 'service', key })),
  )
}

function told(service: Service): Record<string, unknown> {
  return { ...auditedService(service), managedBy: service.managedBy }
}

function noCluster(meshId: MeshId, name: string): ServiceError {
  return new ServiceError('NOT_FOUND', `mesh ${meshId} has no cluster ${quoted(name)}`, {
    next: 'entente cluster list',
  })
}
