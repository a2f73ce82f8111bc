import { endMeshGrants } from '../access/end-access.ts'
import { noSuchMesh } from '../access/no-such-mesh.ts'
import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import { auditedMesh } from './create-mesh.ts'
import type { Dependant, Dependants, MeshEnder } from './hooks.ts'
import * as store from './store.ts'
import { clearTopology } from './topology/topology-store.ts'

/** How a mesh is deleted. */
export interface DeleteMesh {
  readonly context: ChangeContext
  readonly dependants: readonly Dependants[]
  readonly enders?: readonly MeshEnder[] | undefined
  /** Delete although active relationships end with it. */
  readonly force: boolean
  /** Only tell what would end: then nothing that blocks is a refusal. */
  readonly dryRun: boolean
}

/**
 * Deletes a mesh with everything that is its own and answers with what ended, in the caller's transaction.
 *
 * Throws NOT_FOUND, and CONFLICT while something blocks it (active relationships) and it is not forced.
 */
export async function deleteMesh(
  trx: Db,
  meshId: MeshId,
  { context, dependants, enders = [], force, dryRun }: DeleteMesh,
): Promise<Dependant[]> {
  const mesh = await store.lockMesh(trx, meshId)
  if (mesh === undefined) throw noSuchMesh(meshId)
  const ending: Dependant[] = []
  for (const ask of dependants) ending.push(...(await ask(trx, { kind: 'mesh', meshId })))
  const blocking = ending.filter((dependant) => dependant.blocks)
  if (blocking.length > 0 && !force && !dryRun) throw refusal(meshId, blocking)
  for (const end of enders) await end(trx, meshId, context)
  await bumpChange(trx, meshId, 'mesh')
  await bumpChange(trx, meshId, 'bundle')
  await bumpChange(trx, meshId, 'rule')
  await endMeshGrants(trx, meshId, context)
  await clearTopology(trx, meshId)
  await store.deleteMesh(trx, meshId)
  await recordAudit(trx, {
    meshId,
    at: context.now,
    actor: context.actor,
    action: 'mesh.delete',
    object: `mesh/${meshId}`,
    body: { ...auditedMesh(mesh), forced: force && blocking.length > 0, ended: ending },
  })
  return ending
}

function refusal(meshId: MeshId, blocking: readonly Dependant[]): ServiceError {
  const named = blocking.slice(0, 5).map(({ kind, name }) => `${kind} ${name}`)
  const more = blocking.length > 5 ? ` and ${blocking.length - 5} more` : ''
  return new ServiceError(
    'CONFLICT',
    `mesh ${meshId} is in use by ${named.join(', ')}${more}, which would end`,
    {
      next: `entente mesh delete ${meshId} --dry-run shows all of it; --force deletes anyway`,
    },
  )
}
