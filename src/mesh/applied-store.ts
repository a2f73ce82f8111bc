import { type Selectable, sql } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { AppliedObjectTable } from '../db/schema-declarative.ts'
import type { Db } from '../db/schema.ts'
import type { Applied, AppliedKey } from './applied-object.ts'

const COLUMNS = ['mesh_id', 'kind', 'name', 'object_id', 'owner', 'digest', 'applied_at'] as const

/** Writes who applied an object, in the place of whoever did before. */
export async function saveApplied(trx: Db, meshId: MeshId, applied: Applied): Promise<void> {
  const values = {
    object_id: applied.objectId,
    owner: applied.owner,
    digest: applied.digest,
    applied_at: applied.appliedAt,
  }
  await trx
    .insertInto('applied_object')
    .values({ mesh_id: meshId, kind: applied.kind, name: applied.name, ...values })
    .onConflict((conflict) => conflict.columns(['mesh_id', 'kind', 'name']).doUpdateSet(values))
    .execute()
}

/** Who applied an object, locked until the transaction ends. */
export async function lockApplied(
  trx: Db,
  meshId: MeshId,
  { kind, name }: AppliedKey,
): Promise<Applied | undefined> {
  const row = await trx
    .selectFrom('applied_object')
    .select(COLUMNS)
    .where('mesh_id', '=', meshId)
    .where('kind', '=', kind)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : appliedOf(row)
}

/** Which part of the list is wanted. */
export interface AppliedPage {
  readonly owner?: string | undefined
  /** Kind and name of the last one shown before. */
  readonly after?: AppliedKey | undefined
  readonly limit: number
}

/** What was applied in a mesh, by kind and name; also of objects that are gone. */
export async function listApplied(db: Db, meshId: MeshId, page: AppliedPage): Promise<Applied[]> {
  const { owner, after, limit } = page
  let query = db.selectFrom('applied_object').select(COLUMNS).where('mesh_id', '=', meshId)
  if (owner !== undefined) query = query.where('owner', '=', owner)
  if (after !== undefined) {
    query = query.where(sql<boolean>`(kind, name) > (${after.kind}, ${after.name})`)
  }
  const rows = await query.orderBy('kind').orderBy('name').limit(limit).execute()
  return rows.map(appliedOf)
}

/** Forgets who applied objects of one kind; answers how many were known. */
export async function deleteApplied(
  trx: Db,
  meshId: MeshId,
  { kind, names }: { readonly kind: string; readonly names: readonly string[] },
): Promise<number> {
  if (names.length === 0) return 0
  const { numDeletedRows } = await trx
    .deleteFrom('applied_object')
    .where('mesh_id', '=', meshId)
    .where('kind', '=', kind)
    .where('name', 'in', names)
    .executeTakeFirst()
  return Number(numDeletedRows)
}

function appliedOf(row: Selectable<AppliedObjectTable>): Applied {
  return {
    kind: row.kind,
    name: row.name,
    objectId: row.object_id,
    owner: row.owner,
    digest: row.digest,
    appliedAt: row.applied_at,
  }
}
