import { type Kysely, sql } from 'kysely'

/** An alert is named by an id: its number counts those of all meshes. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table alert add column id uuid not null default gen_random_uuid()`.execute(db)
  await sql`create unique index alert_id on alert (id)`.execute(db)
}
