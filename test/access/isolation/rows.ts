import { sql } from 'kysely'
import { type Db } from '../../../src/db/schema.ts'

/** Tables whose rows the service changes by itself, whoever asks. */
const RESTLESS = new Set(['audit_record', 'poll', 'bundle_forecast', 'replica_bundle', 'lease'])

/** All rows of a mesh, table by table, as text; those that the service changes by itself left out. */
export async function rowsOf(db: Db, meshId: string): Promise<Map<string, string>> {
  const { rows: tables } = await sql<{ name: string }>`
    select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = 'mesh_id' order by 1`.execute(db)
  const found = new Map<string, string>()
  for (const { name } of tables) {
    if (RESTLESS.has(name)) continue
    const { rows } = await sql<{ row: string }>`
      select to_jsonb(r)::text as row from ${sql.table(name)} r
      where mesh_id = ${meshId} order by 1`.execute(db)
    if (rows.length > 0) found.set(name, rows.map(({ row }) => row).join('\n'))
  }
  return found
}

const UUID = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g

/** Every identifier in the rows of a mesh: none of them may show anywhere else. */
export function identifiersIn(rows: ReadonlyMap<string, string>): Set<string> {
  return new Set([...rows.values()].flatMap((text) => text.match(UUID) ?? []))
}
