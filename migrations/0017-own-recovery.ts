import { type Kysely, sql } from 'kysely'

/** Ways in which peers may renew the bundle of a trust domain of ours, as we tell them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table trust_domain
    add column recovery jsonb not null default '[]'
      check (jsonb_typeof(recovery) = 'array' and jsonb_array_length(recovery) <= 8)`.execute(db)
}
