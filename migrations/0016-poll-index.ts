import { type Kysely, sql } from 'kysely'

/**
 * Due polls by pool: a backlog of dead peers is never walked through to find a live one that is due. Room in each page
 * lets a claim, which changes no indexed column, leave the indexes alone.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index poll_due_healthy on poll (next_at)
    where failures = 0 and last_success_at is not null`.execute(db)
  await sql`create index poll_due_other on poll (next_at)
    where failures <> 0 or last_success_at is null`.execute(db)
  await sql`drop index poll_due`.execute(db)
  await sql`alter table poll set (fillfactor = 70)`.execute(db)
}
