import { type Kysely, sql } from 'kysely'

/**
 * Who applied what is recorded for each object, as rules of several owners may have one name; and whether whoever said
 * so may end it, so that a record hands nobody's pruning what its author could not end.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table applied_object
    drop constraint applied_object_pkey,
    add primary key (mesh_id, kind, name, object_id),
    add column prunable boolean not null default true`.execute(db)
}
