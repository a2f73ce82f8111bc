import { sql } from 'kysely'
import type { Db } from './schema.ts'
import { databaseNow } from './time.ts'

/** Something in the database that only its KEK can open. */
export interface SealedItem {
  readonly of: 'authority' | 'secret'
  /** As a person would name it: `x509_root of acme.example in mesh acme (id …)`. */
  readonly label: string
  /** Id of the KEK that sealed it. */
  readonly kekId: string
}

interface SealedRow {
  readonly of: 'authority' | 'secret'
  readonly label: string
  readonly kek_id: string
}

/**
 * Everything in the database that is sealed, with the id of the KEK that sealed it; secrets last.
 *
 * Reads the ids only (bytes 2 to 9 of a sealed thing), never the sealed bytes.
 */
export async function listSealed(db: Db): Promise<SealedItem[]> {
  const { rows } = await sql<SealedRow>`
    select 'authority' as of,
      kind || ' of ' || trust_domain || ' in mesh ' || mesh_id || ' (id ' || id || ')' as label,
      encode(substring(sealed_key from 2 for 8), 'hex') as kek_id
    from authority where sealed_key is not null
    union all
    select 'secret', 'secret ' || name, encode(substring(sealed from 2 for 8), 'hex') from secret
    union all
    select 'secret', 'secret of webhook ' || name || coalesce(' in mesh ' || mesh_id, ''),
      encode(substring(sealed_secret from 2 for 8), 'hex') from webhook
    order by 1, 2`.execute(db)
  return rows.map((row) => ({ of: row.of, label: row.label, kekId: row.kek_id }))
}

/** The sealed bytes of a service-wide secret. */
export async function findSecret(db: Db, name: string): Promise<Uint8Array | undefined> {
  const row = await db
    .selectFrom('secret')
    .select('sealed')
    .where('name', '=', name)
    .executeTakeFirst()
  return row?.sealed
}

/** Stores a service-wide secret unless one of that name exists. */
export async function insertSecret(db: Db, name: string, sealed: Uint8Array): Promise<void> {
  await db
    .insertInto('secret')
    .values({ name, sealed, created_at: await databaseNow(db) })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute()
}
