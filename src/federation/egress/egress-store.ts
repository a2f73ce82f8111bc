import { type Selectable } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db, type EgressRuleTable } from '../../db/schema.ts'

/** A line of the allow list that an administrator wrote. */
export interface EgressSetting {
  readonly id: string
  /** Address, range, host name or `localhost`, as `formatEgressRule` writes it without a port. */
  readonly destination: string
  readonly port: number | undefined
  /** Absent: it holds for every mesh. */
  readonly meshId: MeshId | undefined
  readonly note: string | undefined
  readonly createdAt: Date
}

const SETTING = ['id', 'destination', 'port', 'mesh_id', 'note', 'created_at'] as const

/** Stores a line. */
export async function insertEgressSetting(trx: Db, setting: EgressSetting): Promise<void> {
  await trx
    .insertInto('egress_rule')
    .values({
      id: setting.id,
      destination: setting.destination,
      port: setting.port ?? null,
      mesh_id: setting.meshId ?? null,
      note: setting.note ?? null,
      created_at: setting.createdAt,
    })
    .execute()
}

/** Lines by id, after `after` when given; at most `limit`. */
export async function listEgressSettings(
  db: Db,
  page: { readonly after?: string | undefined; readonly limit?: number | undefined } = {},
): Promise<EgressSetting[]> {
  let query = db.selectFrom('egress_rule').select(SETTING).orderBy('id')
  if (page.after !== undefined) query = query.where('id', '>', page.after)
  if (page.limit !== undefined) query = query.limit(page.limit)
  return (await query.execute()).map(settingOf)
}

/** Deletes a line and answers with it. */
export async function deleteEgressSetting(trx: Db, id: string): Promise<EgressSetting | undefined> {
  const row = await trx
    .deleteFrom('egress_rule')
    .where('id', '=', id)
    .returning(SETTING)
    .executeTakeFirst()
  return row === undefined ? undefined : settingOf(row)
}

function settingOf(row: Selectable<EgressRuleTable>): EgressSetting {
  return {
    id: row.id,
    destination: row.destination,
    port: row.port ?? undefined,
    meshId: row.mesh_id ?? undefined,
    note: row.note ?? undefined,
    createdAt: row.created_at,
  }
}
