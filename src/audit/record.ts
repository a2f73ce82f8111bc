import type { Db } from '../db/schema.ts'
import { databaseNow } from '../db/time.ts'
import { canonicalJson } from './canonical-json.ts'
import { insertRecord } from './store.ts'

/** The author and moment of a change, for everything that happens in its transaction. */
export interface ChangeContext {
  readonly actor: string
  /** The database's time. */
  readonly now: Date
  /**
   * Namespaces that the author may speak for, from access/owner-scope.ts; undefined = the whole mesh, as for timers and
   * whatever the service does by itself.
   */
  readonly ownerScope?: readonly string[] | undefined
}

/** One change, as it goes into the log: who did what to what, and the particulars. */
export interface AuditEntry {
  /** The mesh it concerns; absent for changes of the whole service. */
  readonly meshId?: string | undefined
  /** `request.principal.name`, or `timer:<name>` for what the service did by itself. */
  readonly actor: string
  /** The action of the route (`relationship.create`), or a verb of the same form. */
  readonly action: string
  /** What was changed, as the user would name it (`relationship/globex`). */
  readonly object: string
  /** Before, after, reasons: any value that {@link canonicalJson} can write; never a private key, a token or a CSR. */
  readonly body: unknown
  /** The moment of the change; default the database's clock. */
  readonly at?: Date | undefined
}

/**
 * Appends a record inside the caller's transaction; it has no number until the sealer gives it one.
 *
 * Takes no shared lock: one insert, after one reading of the clock unless `at` is given.
 */
export async function recordAudit(trx: Db, entry: AuditEntry): Promise<void> {
  const at = entry.at ?? (await databaseNow(trx))
  await insertRecord(trx, {
    at,
    mesh_id: entry.meshId ?? null,
    actor: entry.actor,
    action: entry.action,
    object: entry.object,
    body: recordBytes({ ...entry, at }),
  })
}

/** The exact bytes of a record; time, mesh, actor, action and object are in them, so the hash covers the columns. */
export function recordBytes(entry: AuditEntry & { readonly at: Date }): Uint8Array {
  const text = canonicalJson({
    v: 1,
    at: entry.at,
    mesh: entry.meshId ?? null,
    actor: entry.actor,
    action: entry.action,
    object: entry.object,
    body: entry.body ?? null,
  })
  return new TextEncoder().encode(text)
}

/** The columns of a record as its bytes have them. */
export interface RecordFields {
  readonly at: string
  readonly mesh: string | null
  readonly actor: string
  readonly action: string
  readonly object: string
}

/** What a record's bytes say; undefined when they are no record of ours. */
export function fieldsOf(
  bytes: Uint8Array,
): (RecordFields & { readonly body: unknown }) | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is RecordFields & { readonly body: unknown } {
  return typeof value === 'object' && value !== null && 'actor' in value && 'body' in value
}
