import { type Kysely, sql } from 'kysely'

/**
 * A whole list of endpoints is known by the change counter that it was read against, which grows in the order of
 * commits; the moment of a report told nothing of a service whose transaction had begun before it.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table endpoint_reporter
    drop column full_at,
    add column catalog_revision bigint not null default 0`.execute(db)
}
