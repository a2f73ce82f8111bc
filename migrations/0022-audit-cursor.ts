import { type Kysely, sql } from 'kysely'

/** A page of the audit log goes on behind a record that its reader saw, found by the record's hash. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index audit_record_hash on audit_record (hash)`.execute(db)
}
