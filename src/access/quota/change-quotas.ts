import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { parseMeshId } from '../../db/ids.ts'
import { lockMeshes } from '../../db/lock-meshes.ts'
import type { Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { noSuchMesh } from '../no-such-mesh.ts'
import { type QuotaLimits, type QuotaOwner, beyondMesh, versionOf } from './quota.ts'
import * as store from './quota-store.ts'

/** Limits in the place of those that there were. */
export interface QuotaChange {
  readonly limits: QuotaLimits
  readonly context: ChangeContext
  /** Refuses a change that was made on other limits than those that there are. */
  readonly requireVersion: (version: string) => void
}

/**
 * Sets the quotas of a mesh or a namespace, all of them at once, in the caller's transaction. What is there already
 * stays, also where it is more than the new quota.
 *
 * A namespace's quota may not go beyond its mesh's; those of all namespaces together may, as the mesh's own still
 * counts. Throws NOT_FOUND, INVALID_REQUEST, PRECONDITION_FAILED.
 */
export async function setQuotas(
  trx: Db,
  owner: QuotaOwner,
  { limits, context, requireVersion }: QuotaChange,
): Promise<QuotaLimits> {
  const held = await lockMeshes(trx, [parseMeshId(owner.meshId)])
  if (held.size === 0) throw noSuchMesh(owner.meshId)
  if (owner.namespace !== undefined) await requireWithinMesh(trx, owner, limits)
  const before = await store.findLimits(trx, owner)
  requireVersion(versionOf(before))
  await store.replaceLimits(trx, owner, { limits, at: context.now })
  await recordAudit(trx, {
    meshId: owner.meshId,
    actor: context.actor,
    action: owner.namespace === undefined ? 'quota.set' : 'namespace-quota.set',
    object: owner.namespace === undefined ? 'quota/mesh' : `quota/namespace/${owner.namespace}`,
    body: { before, after: limits },
    at: context.now,
  })
  return limits
}

async function requireWithinMesh(trx: Db, owner: QuotaOwner, limits: QuotaLimits): Promise<void> {
  const mesh = await store.findLimits(trx, { ...owner, namespace: undefined })
  const kind = beyondMesh(limits, mesh)
  if (kind === undefined) return
  const detail = `${kind}=${limits[kind]} of namespace ${owner.namespace} goes beyond the mesh's own ${mesh[kind]}`
  throw new ServiceError('INVALID_REQUEST', detail, {
    fields: [{ in: 'body', pointer: `/${kind}`, detail }],
    next: 'a platform-admin can raise the quota of the mesh: entente quota set',
  })
}
