import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'

/** A mesh whose owner declared the tier of availability that it is to have. */
export interface AvailabilityTarget {
  readonly meshId: MeshId
  /** 1 to 5. */
  readonly target: number
}

/** The meshes with a declared target. */
export async function listAvailabilityTargets(db: Db): Promise<AvailabilityTarget[]> {
  const rows = await db
    .selectFrom('mesh')
    .select(['mesh_id', 'availability_target'])
    .where('availability_target', 'is not', null)
    .orderBy('mesh_id')
    .execute()
  return rows.map((row) => ({ meshId: row.mesh_id, target: row.availability_target ?? 1 }))
}
