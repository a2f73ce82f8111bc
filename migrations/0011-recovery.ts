import { type Kysely, sql } from 'kysely'

/** Ways in which a peer's bundle may be renewed once its endpoint can no longer be authenticated, in their order. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table relationship_domain
    add column recovery jsonb not null default '[]'
      check (jsonb_typeof(recovery) = 'array' and jsonb_array_length(recovery) <= 8)`.execute(db)
}
