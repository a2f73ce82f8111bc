import { type Selectable, sql } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { AppliedObjectTable } from '../db/schema-declarative.ts'
import type { Db } from '../db/schema.ts'
import type { Applied, AppliedId, AppliedKey } from './applied-object.ts'

const COLUMNS = [
  'mesh_id',
  'kind',
  'name',
  'object_id',
  'owner',
  'digest',
  'applied_at',
  'prunable',
] as const

/** Writes who applied an object, in the place of whoever did before. */
export async function saveApplied(trx: Db, meshId: MeshId, applied: Applied): Promise<void> {
  const { kind, name, objectId: object_id } = applied
  const values = {
    owner: applied.owner,
    digest: applied.digest,
    applied_at: applied.appliedAt,
    prunable: applied.prunable,
  }
  await trx
    .insertInto('applied_object')
    .values({ mesh_id: meshId, kind, name, object_id, ...values })
    .onConflict((conflict) =>
      conflict.columns(['mesh_id', 'kind', 'name', 'object_id']).doUpdateSet(values),
    )
    .execute()
}

/** Who applied the objects of one name, locked until the transaction ends; also those that are gone. */
export async function lockApplied(
  trx: Db,
  meshId: MeshId,
  { kind, name }: AppliedKey,
): Promise<Applied[]> {
  const rows = await trx
    .selectFrom('applied_object')
    .select(COLUMNS)
    .where('mesh_id', '=', meshId)
    .where('kind', '=', kind)
    .where('name', '=', name)
    .orderBy('object_id')
    .forUpdate()
    .execute()
  return rows.map(appliedOf)
}

/** Which part of the list is wanted. */
export interface AppliedPage {
  readonly owner?: string | undefined
  /** Only of these kinds. */
  readonly kinds?: readonly string[] | undefined
  /** The last one shown before. */
  readonly after?: AppliedId | undefined
  readonly limit: number
}

/** What was applied in a mesh, by kind, name and object; also of objects that are gone. */
export async function listApplied(db: Db, meshId: MeshId, page: AppliedPage): Promise<Applied[]> {
  const { owner, kinds, after, limit } = page
  if (kinds?.length === 0) return []
  let query = db.selectFrom('applied_object').select(COLUMNS).where('mesh_id', '=', meshId)
  if (owner !== undefined) query = query.where('owner', '=', owner)
  if (kinds !== undefined) query = query.where('kind', 'in', [...kinds])
  if (after !== undefined) {
    const { kind, name, objectId } = after
    query = query.where(sql<boolean>`(kind, name, object_id) > (${kind}, ${name}, ${objectId})`)
  }
  const ordered = query.orderBy('kind').orderBy('name').orderBy('object_id')
  const rows = await ordered.limit(limit).execute()
  return rows.map(appliedOf)
}

/** Forgets who applied these objects, hundreds at most. */
export async function deleteApplied(
  trx: Db,
  meshId: MeshId,
  applied: readonly AppliedId[],
): Promise<void> {
  if (applied.length === 0) return
  await trx
    .deleteFrom('applied_object')
    .where('mesh_id', '=', meshId)
    .where((eb) =>
      eb(
        eb.refTuple('kind', 'name', 'object_id'),
        'in',
        applied.map(({ kind, name, objectId }) => eb.tuple(kind, name, objectId)),
      ),
    )
    .execute()
}

function appliedOf(row: Selectable<AppliedObjectTable>): Applied {
  return {
    kind: row.kind,
    name: row.name,
    objectId: row.object_id,
    owner: row.owner,
    digest: row.digest,
    appliedAt: row.applied_at,
    prunable: row.prunable,
  }
}
