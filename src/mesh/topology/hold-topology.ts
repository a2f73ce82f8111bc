import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { noSuchMesh } from '../../access/no-such-mesh.ts'
import type { OwnerScope } from '../../access/owner-scope.ts'
import { bumpChange } from '../../db/changes.ts'
import { isForeignKeyViolation } from '../../db/failures.ts'
import type { MeshId } from '../../db/ids.ts'
import { lockMeshes } from '../../db/lock-meshes.ts'
import type { Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { loadMesh } from '../find-mesh.ts'
import type { Dependant } from '../hooks.ts'
import type { Mesh } from '../mesh.ts'
import { type KeptTopology, loadKeptTopology } from './find-topology.ts'

/** Who changes a topology, when, and which clusters they may act on (undefined = all). */
export interface TopologyContext extends ChangeContext {
  readonly ownerClusters?: OwnerScope
}

/** A mesh whose topology nobody else changes until the transaction ends. */
export interface HeldTopology {
  readonly mesh: Mesh
  readonly topology: KeptTopology
}

/** Locks and reads the topology of a mesh, so that what is checked holds; throws NOT_FOUND. */
export async function holdTopology(trx: Db, meshId: MeshId): Promise<HeldTopology> {
  if ((await lockMeshes(trx, [meshId])).size === 0) throw noSuchMesh(meshId)
  return { mesh: await loadMesh(trx, meshId), topology: await loadKeptTopology(trx, meshId) }
}

/** A change of a topology as the audit log has it. */
export interface TopologyChange {
  readonly context: ChangeContext
  readonly action: string
  readonly object: string
  readonly body: unknown
}

/** Records a change of a topology and tells every replica. */
export async function settleTopology(
  trx: Db,
  meshId: MeshId,
  { context, action, object, body }: TopologyChange,
): Promise<void> {
  const { actor, now: at } = context
  await recordAudit(trx, { meshId, at, actor, action, object, body })
  await bumpChange(trx, meshId, 'mesh')
}

/** What would go with an object, and what no force can break. */
export interface Ending {
  readonly ended: readonly Dependant[]
  /** Rules that the mesh would break without it. */
  readonly faults: readonly ServiceError[]
}

/** How an object of a topology is deleted. */
export interface EndOptions {
  readonly name: string
  readonly context: TopologyContext
  readonly requireVersion: (version: bigint) => void
  /** Delete although something uses it. */
  readonly force: boolean
  /** Only tell what would end: then nothing is a refusal. */
  readonly dryRun: boolean
}

/** Refuses to end what a rule needs, or (CONFLICT) what is in use where it is not forced. */
export function checkEnding(
  title: string,
  { ended, faults }: Ending,
  { force, dryRun }: Pick<EndOptions, 'force' | 'dryRun'>,
): void {
  if (dryRun) return
  const [fault] = faults
  if (fault !== undefined) throw fault
  const blocking = ended.filter(({ blocks }) => blocks)
  if (blocking.length === 0 || force) return
  const named = blocking.slice(0, 5).map(({ kind, name }) => `${kind} ${name}`)
  const more = blocking.length > 5 ? ` and ${blocking.length - 5} more` : ''
  throw new ServiceError('CONFLICT', `${title} is in use by ${named.join(', ')}${more}`, {
    next: 'add --dry-run to see all of it, or --force to delete it anyway',
  })
}

/** Deletes a row of the topology; throws CONFLICT where something was tied to it since it was looked at. */
export async function deleteUnused(title: string, drop: () => Promise<void>): Promise<void> {
  try {
    await drop()
  } catch (cause) {
    if (!isForeignKeyViolation(cause)) throw cause
    throw new ServiceError('CONFLICT', `something was tied to ${title} meanwhile`, {
      cause,
      next: 'do it again; nothing was changed',
    })
  }
}

/** The refusal for an object of a topology that does not exist. */
export function noSuchObject(kind: string, name: string, meshId: MeshId): ServiceError {
  return new ServiceError('NOT_FOUND', `mesh ${meshId} has no ${kind} ${quoted(name)}`, {
    next: `entente ${kind.replace(' ', '-')} list`,
  })
}

/** The refusal of a name that another object of the kind has in this mesh. */
export function nameTaken(kind: string, name: string, meshId: MeshId): ServiceError {
  return new ServiceError(
    'ALREADY_EXISTS',
    `mesh ${meshId} has a ${kind} ${quoted(name)} already`,
    {
      next: `entente ${kind.replace(' ', '-')} show ${name}`,
    },
  )
}
