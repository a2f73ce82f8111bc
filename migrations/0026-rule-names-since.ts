import { type Kysely, sql } from 'kysely'

/**
 * A rule that came to give names anew counts from then on against others for those names; null = it has named the
 * same since it was made.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table rule add column names_since timestamptz`.execute(db)
}
