import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type WebhookTable } from '../../db/schema-alerts.ts'
import { type Db, type Severity } from '../../db/schema.ts'
import { type EndpointUrl } from '../../spiffe/endpoint-profile.ts'

/** Who is told of alerts by an HTTPS request. */
export interface Webhook {
  readonly id: string
  /** Absent for one of the service, which is told of all alerts. */
  readonly meshId: MeshId | undefined
  readonly name: string
  readonly url: EndpointUrl
  readonly minSeverity: Severity
  /** The codes it wants; all when absent. */
  readonly codes: readonly string[] | undefined
  readonly note: string | undefined
  /** Of its signatures, under the KEK. */
  readonly sealedSecret: Uint8Array
  readonly createdAt: Date
}

/** The columns of a {@link Webhook}. */
export const WEBHOOK = [
  'id',
  'mesh_id',
  'name',
  'url',
  'min_severity',
  'codes',
  'note',
  'sealed_secret',
  'created_at',
] as const

/** Whose webhooks: of one mesh, or of the service. */
export type WebhookScope = MeshId | undefined

/** Stores a webhook; throws a unique violation when the name is taken. */
export async function insertWebhook(trx: Db, webhook: Webhook): Promise<void> {
  await trx
    .insertInto('webhook')
    .values({
      id: webhook.id,
      mesh_id: webhook.meshId ?? null,
      name: webhook.name,
      url: webhook.url,
      min_severity: webhook.minSeverity,
      codes: webhook.codes === undefined ? null : JSON.stringify(webhook.codes),
      note: webhook.note ?? null,
      sealed_secret: webhook.sealedSecret,
      owner: null,
      lease_until: null,
      created_at: webhook.createdAt,
    })
    .execute()
}

/** The webhook of this name. */
export async function findWebhook(
  db: Db,
  scope: WebhookScope,
  name: string,
): Promise<Webhook | undefined> {
  const row = await inScope(db, scope).where('name', '=', name).executeTakeFirst()
  return row === undefined ? undefined : webhookOf(row)
}

/** Webhooks by name, after `after` when given. */
export async function listWebhooks(
  db: Db,
  scope: WebhookScope,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<Webhook[]> {
  let query = inScope(db, scope).orderBy('name').limit(page.limit)
  if (page.after !== undefined) query = query.where('name', '>', page.after)
  return (await query.execute()).map(webhookOf)
}

/** Deletes a webhook with its deliveries. */
export async function deleteWebhook(trx: Db, id: string): Promise<void> {
  await trx.deleteFrom('webhook').where('id', '=', id).execute()
}

/** How many webhooks there are in a scope. */
export async function countWebhooks(db: Db, scope: WebhookScope): Promise<number> {
  const row = await db
    .selectFrom('webhook')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('mesh_id', scope === undefined ? 'is' : '=', scope ?? null)
    .executeTakeFirst()
  return Number(row?.count ?? 0)
}

/** A webhook that may want an event, and how much waits for it already. */
export interface Listener {
  readonly id: string
  readonly meshId: MeshId | undefined
  readonly minSeverity: Severity
  readonly codes: readonly string[] | undefined
  readonly pending: number
}

/** All webhooks of the service with the length of their queues. */
export async function listListeners(db: Db): Promise<Listener[]> {
  const rows = await db
    .selectFrom('webhook as w')
    .select((eb) => [
      'w.id',
      'w.mesh_id',
      'w.min_severity',
      'w.codes',
      eb
        .selectFrom('webhook_delivery as v')
        .select(eb.fn.countAll().as('count'))
        .whereRef('v.webhook_id', '=', 'w.id')
        .where('v.state', '=', 'pending')
        .as('pending'),
    ])
    .execute()
  return rows.map((row) => ({
    id: row.id,
    meshId: row.mesh_id ?? undefined,
    minSeverity: row.min_severity,
    codes: row.codes ?? undefined,
    pending: Number(row.pending ?? 0),
  }))
}

/** Something to be sent; without `pending` it is dead from the start. */
export interface NewDelivery {
  readonly id: string
  readonly webhookId: string
  readonly event: string
  readonly body: string
  readonly refusal: string | undefined
}

/** Queues deliveries, in one statement; those of webhooks that are gone are left out. */
export async function insertDeliveries(
  trx: Db,
  deliveries: readonly NewDelivery[],
  now: Date,
): Promise<void> {
  if (deliveries.length === 0) return
  const rows = JSON.stringify(
    deliveries.map((one) => ({
      id: one.id,
      webhook_id: one.webhookId,
      event: one.event,
      body: one.body,
      refusal: one.refusal ?? null,
    })),
  )
  await sql`
    insert into webhook_delivery (id, webhook_id, event, body, state, next_at, last_error, created_at, ended_at)
    select v.id, v.webhook_id, v.event, v.body,
      case when v.refusal is null then 'pending' else 'dead' end, ${now}, v.refusal, ${now},
      case when v.refusal is null then null else ${now}::timestamptz end
    from jsonb_to_recordset(${rows}::jsonb) as v(id uuid, webhook_id uuid, event text, body text,
      refusal text)
    join webhook w on w.id = v.webhook_id`.execute(trx)
}

function inScope(db: Db, scope: WebhookScope) {
  return db
    .selectFrom('webhook')
    .select(WEBHOOK)
    .where('mesh_id', scope === undefined ? 'is' : '=', scope ?? null)
}

/** The webhook in a row of {@link WEBHOOK}. */
export function webhookOf(row: Pick<Selectable<WebhookTable>, (typeof WEBHOOK)[number]>): Webhook {
  return {
    id: row.id,
    meshId: row.mesh_id ?? undefined,
    name: row.name,
    url: row.url as EndpointUrl,
    minSeverity: row.min_severity,
    codes: row.codes ?? undefined,
    note: row.note ?? undefined,
    sealedSecret: row.sealed_secret,
    createdAt: row.created_at,
  }
}
