import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type AlertTable } from '../../db/schema-alerts.ts'
import { type Db, type Severity } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** A condition from its beginning to its end. */
export interface Alert {
  /** The order, of all meshes together; it is not shown. */
  readonly nr: bigint
  readonly id: string
  readonly meshId: MeshId | undefined
  readonly relationshipId: string | undefined
  readonly code: string
  readonly object: string
  /** The replica that sees it; absent for what is read in the database. */
  readonly replica: string | undefined
  readonly severity: Severity
  readonly message: string
  readonly raisedAt: Date
  readonly lastSeenAt: Date
  readonly missingSince: Date | undefined
  readonly clearedAt: Date | undefined
}

/** What an alert begins with. */
export type NewAlert = Pick<
  Alert,
  'meshId' | 'relationshipId' | 'code' | 'object' | 'replica' | 'severity' | 'message'
>

const MAX_MESSAGE_LENGTH = 1000

const ALERT = [
  'nr',
  'id',
  'mesh_id',
  'relationship_id',
  'code',
  'object',
  'replica',
  'severity',
  'message',
  'raised_at',
  'last_seen_at',
  'missing_since',
  'cleared_at',
] as const

/** Open alerts: those read in the database, or those of one replica. */
export async function listOpen(db: Db, replica: string | null): Promise<Alert[]> {
  const rows = await db
    .selectFrom('alert')
    .select(ALERT)
    .where('cleared_at', 'is', null)
    .where('replica', replica === null ? 'is' : '=', replica)
    .execute()
  return rows.map(alertOf)
}

/** Open alerts of replicas that have not been seen since `silentSince`. */
export async function listOrphaned(db: Db, silentSince: Date): Promise<Alert[]> {
  const rows = await db
    .selectFrom('alert')
    .select(ALERT)
    .where('cleared_at', 'is', null)
    .where('replica', 'is not', null)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('replica')
            .select('replica.id')
            .whereRef('replica.id', '=', 'alert.replica')
            .where('replica.seen_at', '>', silentSince),
        ),
      ),
    )
    .execute()
  return rows.map(alertOf)
}

/** Opens alerts; one that is open already, or whose mesh is gone, is left out of the answer. */
export async function insertAlerts(
  trx: Db,
  alerts: readonly NewAlert[],
  now: Date,
): Promise<Alert[]> {
  if (alerts.length === 0) return []
  const wanted = JSON.stringify(
    alerts.map((alert) => ({
      mesh_id: alert.meshId ?? null,
      relationship_id: alert.relationshipId ?? null,
      code: alert.code,
      object: alert.object,
      replica: alert.replica ?? null,
      severity: alert.severity,
      message: plainText(alert.message),
    })),
  )
  const { rows } = await sql<Selectable<AlertTable>>`
    insert into alert (mesh_id, relationship_id, code, object, replica, severity, message, raised_at,
      last_seen_at)
    select v.mesh_id, v.relationship_id, v.code, v.object, v.replica, v.severity, v.message,
      ${now}, ${now}
    from jsonb_to_recordset(${wanted}::jsonb) as v(mesh_id text, relationship_id uuid, code text,
      object text, replica text, severity text, message text)
    where v.mesh_id is null or exists (select 1 from mesh where mesh.mesh_id = v.mesh_id)
    on conflict do nothing
    returning *`.execute(trx)
  return rows.map(alertOf)
}

/** Writes another severity or message of open alerts. */
export async function updateAlerts(
  trx: Db,
  alerts: readonly Pick<Alert, 'nr' | 'severity' | 'message'>[],
  now: Date,
): Promise<void> {
  if (alerts.length === 0) return
  const rows = JSON.stringify(
    alerts.map(({ nr, severity, message }) => ({
      nr: nr.toString(),
      severity,
      message: plainText(message),
    })),
  )
  await sql`
    update alert set severity = v.severity, message = v.message, last_seen_at = ${now}, missing_since = null
    from jsonb_to_recordset(${rows}::jsonb) as v(nr bigint, severity text, message text)
    where alert.nr = v.nr and alert.cleared_at is null`.execute(trx)
}

/** Notes that the conditions of open alerts still hold. */
export async function markSeen(trx: Db, nrs: readonly bigint[], now: Date): Promise<void> {
  if (nrs.length === 0) return
  await trx
    .updateTable('alert')
    .set({ last_seen_at: now, missing_since: null })
    .where('nr', 'in', nrs)
    .where('cleared_at', 'is', null)
    .execute()
}

/** Notes that the conditions of open alerts hold no more, as it seems. */
export async function markMissing(trx: Db, nrs: readonly bigint[], now: Date): Promise<void> {
  if (nrs.length === 0) return
  await trx
    .updateTable('alert')
    .set({ missing_since: now })
    .where('nr', 'in', nrs)
    .where('cleared_at', 'is', null)
    .execute()
}

/** Closes alerts; answers with those that were open. */
export async function closeAlerts(trx: Db, nrs: readonly bigint[], now: Date): Promise<Alert[]> {
  if (nrs.length === 0) return []
  const rows = await trx
    .updateTable('alert')
    .set({ cleared_at: now })
    .where('nr', 'in', nrs)
    .where('cleared_at', 'is', null)
    .returning(ALERT)
    .execute()
  return rows.map(alertOf)
}

/** Which alerts a list shows. */
export interface AlertFilter {
  readonly meshId: MeshId | undefined
  readonly severities: readonly Severity[]
  readonly code: string | undefined
  readonly state: 'open' | 'cleared' | 'all'
  /** Go on behind the alert with this number. */
  readonly behind: bigint | undefined
  readonly limit: number
}

/** Alerts, the newest first; of one mesh, or of the whole service. */
export async function listAlerts(db: Db, filter: AlertFilter): Promise<Alert[]> {
  let query = db
    .selectFrom('alert')
    .select(ALERT)
    .where('severity', 'in', filter.severities)
    .orderBy('nr', 'desc')
    .limit(filter.limit)
  if (filter.meshId !== undefined) query = query.where('mesh_id', '=', filter.meshId)
  if (filter.code !== undefined) query = query.where('code', '=', filter.code)
  if (filter.behind !== undefined) query = query.where('nr', '<', filter.behind)
  if (filter.state === 'open') query = query.where('cleared_at', 'is', null)
  if (filter.state === 'cleared') query = query.where('cleared_at', 'is not', null)
  return (await query.execute()).map(alertOf)
}

/** The number of an alert, by its id, of one mesh or of all; undefined when there is none. */
export async function numberOfAlert(
  db: Db,
  { id, meshId }: { readonly id: string; readonly meshId: MeshId | undefined },
): Promise<bigint | undefined> {
  let query = db.selectFrom('alert').select('nr').where('id', '=', id)
  if (meshId !== undefined) query = query.where('mesh_id', '=', meshId)
  return (await query.executeTakeFirst())?.nr
}

/** How many alerts are open, by code and severity. */
export async function countOpen(
  db: Db,
): Promise<{ readonly code: string; readonly severity: Severity; readonly count: number }[]> {
  const rows = await db
    .selectFrom('alert')
    .select((eb) => ['code', 'severity', eb.fn.countAll().as('count')])
    .where('cleared_at', 'is', null)
    .groupBy(['code', 'severity'])
    .execute()
  return rows.map(({ code, severity, count }) => ({ code, severity, count: Number(count) }))
}

/** Deletes alerts that were closed before a moment; answers how many. */
export async function pruneAlerts(db: Db, before: Date): Promise<bigint> {
  const { numDeletedRows } = await db
    .deleteFrom('alert')
    .where('cleared_at', '<', before)
    .executeTakeFirst()
  return numDeletedRows
}

/** The mesh of each of these trust domains of ours. */
export async function meshesOfDomains(
  db: Db,
  names: readonly string[],
): Promise<ReadonlyMap<string, MeshId>> {
  if (names.length === 0) return new Map()
  const rows = await db
    .selectFrom('trust_domain')
    .select(['name', 'mesh_id'])
    .where('name', 'in', names as readonly TrustDomain[])
    .execute()
  return new Map(rows.map(({ name, mesh_id: meshId }) => [name, meshId]))
}

// Alerts are stored together: no text of one may be such that the database refuses them all.
function plainText(text: string): string {
  return text.slice(0, MAX_MESSAGE_LENGTH).replaceAll('\0', '?').toWellFormed()
}

function alertOf(row: Selectable<AlertTable>): Alert {
  return {
    nr: row.nr,
    id: row.id,
    meshId: row.mesh_id ?? undefined,
    relationshipId: row.relationship_id ?? undefined,
    code: row.code,
    object: row.object,
    replica: row.replica ?? undefined,
    severity: row.severity,
    message: row.message,
    raisedAt: row.raised_at,
    lastSeenAt: row.last_seen_at,
    missingSince: row.missing_since ?? undefined,
    clearedAt: row.cleared_at ?? undefined,
  }
}
