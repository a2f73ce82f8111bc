import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type Condition } from './alert-conditions.ts'

/** Conditions of the whole service that a feature knows of; compose hands it in, so that higher features can. */
export type AlertSource = (db: Db, now: Date) => Promise<readonly Condition[]>

/** How one mesh after the other is looked at. */
export interface MeshSource<T extends { readonly meshId: MeshId }> {
  /** The meshes that have anything to look at, in one statement. */
  readonly subjects: (db: Db) => Promise<readonly T[]>
  readonly conditions: (db: Db, subject: T, now: Date) => Promise<readonly Condition[]>
}

/** Seconds for which what was found of a mesh stands: alerts are evaluated more often than a mesh is worth reading. */
export const MESH_FINDINGS_SECONDS = 60

interface Finding {
  readonly at: Date
  readonly conditions: readonly Condition[]
}

/**
 * A source that reads mesh by mesh, each at most once in {@link MESH_FINDINGS_SECONDS}; in between it repeats what it
 * found, so that no alert closes.
 */
export function meshAlertSource<T extends { readonly meshId: MeshId }>({
  subjects,
  conditions,
}: MeshSource<T>): AlertSource {
  let known: ReadonlyMap<MeshId, Finding> = new Map()
  return async (db, now) => {
    const found = new Map<MeshId, Finding>()
    for (const subject of await subjects(db)) {
      const before = known.get(subject.meshId)
      const isFresh = before !== undefined && secondsBetween(before.at, now) < MESH_FINDINGS_SECONDS
      const after = isFresh ? before : { at: now, conditions: await conditions(db, subject, now) }
      found.set(subject.meshId, after)
    }
    known = found
    return [...found.values()].flatMap((finding) => finding.conditions)
  }
}

function secondsBetween(from: Date, to: Date): number {
  return Math.abs(to.getTime() - from.getTime()) / 1000
}
