import { noSuchMesh } from '../access/no-such-mesh.ts'
import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { auditedMesh } from './create-mesh.ts'
import type { SettingsFollower } from './hooks.ts'
import type { Mesh } from './mesh.ts'
import { checkSettings, type MeshSettings } from './settings.ts'
import * as store from './store.ts'

/** What of a mesh is to change; `null` takes an environment or a target away. */
export interface MeshChange {
  readonly displayName?: string | undefined
  readonly dnsSuffix?: string | undefined
  readonly environment?: string | null | undefined
  readonly settings?: Partial<MeshSettings> | undefined
  readonly availabilityTarget?: number | null | undefined
}

/** What the change of a mesh needs. */
export interface ChangeMeshDeps {
  readonly followers: readonly SettingsFollower[]
  /** Refuses when the caller did not see the version that is there. */
  readonly requireVersion: (version: bigint) => void
}

/**
 * Changes names and settings of a mesh in the caller's transaction; what depends on the settings follows in
 * the same one (a new refresh hint is a new bundle revision).
 *
 * Throws NOT_FOUND, INVALID_REQUEST, PRECONDITION_FAILED.
 */
export async function changeMesh(
  trx: Db,
  meshId: MeshId,
  {
    change,
    context,
    deps,
  }: {
    readonly change: MeshChange
    readonly context: ChangeContext
    readonly deps: ChangeMeshDeps
  },
): Promise<Mesh> {
  const before = await store.lockMesh(trx, meshId)
  if (before === undefined) throw noSuchMesh(meshId)
  deps.requireVersion(before.version)
  const after = apply(before, change)
  checkSettings(after.settings)
  await store.updateMesh(trx, after)
  await recordAudit(trx, {
    meshId,
    at: context.now,
    actor: context.actor,
    action: 'mesh.update',
    object: `mesh/${meshId}`,
    body: { before: auditedMesh(before), after: auditedMesh(after) },
  })
  for (const follow of deps.followers) await follow(trx, after, context)
  await bumpChange(trx, meshId, 'mesh')
  return after
}

function apply(mesh: Mesh, change: MeshChange): Mesh {
  return {
    ...mesh,
    displayName: change.displayName ?? mesh.displayName,
    dnsSuffix: change.dnsSuffix ?? mesh.dnsSuffix,
    environment:
      change.environment === undefined ? mesh.environment : (change.environment ?? undefined),
    settings: { ...mesh.settings, ...change.settings },
    availabilityTarget:
      change.availabilityTarget === undefined
        ? mesh.availabilityTarget
        : (change.availabilityTarget ?? undefined),
    version: mesh.version + 1n,
  }
}
