import { type Selectable, sql } from 'kysely'
import { type WebhookDeliveryTable, type WebhookTable } from '../../db/schema-alerts.ts'
import { type Db } from '../../db/schema.ts'
import { type Webhook, webhookOf } from './webhook-store.ts'

/** Something that is to be sent to a webhook, or was. */
export interface Delivery {
  readonly id: string
  readonly nr: bigint
  readonly webhookId: string
  readonly event: string
  readonly body: string
  readonly state: 'pending' | 'delivered' | 'dead'
  readonly attempts: number
  readonly nextAt: Date
  readonly lastAttemptAt: Date | undefined
  readonly lastStatus: number | undefined
  readonly lastError: string | undefined
  readonly createdAt: Date
  readonly endedAt: Date | undefined
}

const DELIVERY = [
  'id',
  'nr',
  'webhook_id',
  'event',
  'body',
  'state',
  'attempts',
  'next_at',
  'last_attempt_at',
  'last_status',
  'last_error',
  'created_at',
  'ended_at',
] as const

/** A webhook that this replica sends to for a while, alone. */
export interface ClaimedWebhook {
  readonly webhook: Webhook
  readonly owner: string
  readonly epoch: bigint
}

/**
 * Claims webhooks that something is due for and that nobody sends to now; each at most once among all replicas.
 *
 * The lease is the webhook's, not the delivery's: one request at a time goes to a receiver.
 */
export async function claimWebhooks(
  db: Db,
  claim: {
    readonly owner: string
    readonly now: Date
    readonly leaseUntil: Date
    readonly limit: number
  },
): Promise<ClaimedWebhook[]> {
  const { rows } = await sql<Selectable<WebhookTable>>`
    with due as (
      select w.id from webhook w
      where (w.owner is null or w.lease_until < ${claim.now})
        and exists (select 1 from webhook_delivery v
          where v.webhook_id = w.id and v.state = 'pending' and v.next_at <= ${claim.now})
      order by w.lease_until nulls first, w.id
      limit ${claim.limit} for update skip locked
    )
    update webhook as w set owner = ${claim.owner}, lease_until = ${claim.leaseUntil}, epoch = w.epoch + 1
    from due where w.id = due.id
    returning w.*`.execute(db)
  return rows.map((row) => ({ webhook: webhookOf(row), owner: claim.owner, epoch: row.epoch }))
}

/** Goes on holding a claimed webhook; false when it was taken over or deleted. */
export async function extendClaim(db: Db, claim: ClaimedWebhook, until: Date): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('webhook')
    .set({ lease_until: until })
    .where('id', '=', claim.webhook.id)
    .where('owner', '=', claim.owner)
    .where('epoch', '=', claim.epoch)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Gives a webhook back; `lease_until` stays as the mark of its turn, so that others come first. */
export async function releaseClaim(db: Db, claim: ClaimedWebhook): Promise<void> {
  await db
    .updateTable('webhook')
    .set({ owner: null })
    .where('id', '=', claim.webhook.id)
    .where('owner', '=', claim.owner)
    .where('epoch', '=', claim.epoch)
    .execute()
}

/** The delivery of a webhook that is due longest. */
export async function findDueDelivery(
  db: Db,
  webhookId: string,
  now: Date,
): Promise<Delivery | undefined> {
  const row = await db
    .selectFrom('webhook_delivery')
    .select(DELIVERY)
    .where('webhook_id', '=', webhookId)
    .where('state', '=', 'pending')
    .where('next_at', '<=', now)
    .orderBy('next_at')
    .orderBy('nr')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? undefined : deliveryOf(row)
}

/** How a try ended. */
export interface DeliveryOutcome {
  readonly state: Delivery['state']
  readonly attempts: number
  readonly at: Date
  readonly nextAt: Date
  readonly status: number | undefined
  readonly error: string | undefined
}

/** Writes how a try ended, unless the webhook was taken over by another replica meanwhile. */
export async function settleDelivery(
  db: Db,
  claim: ClaimedWebhook,
  { id, outcome }: { readonly id: string; readonly outcome: DeliveryOutcome },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('webhook_delivery')
    .set({
      state: outcome.state,
      attempts: outcome.attempts,
      next_at: outcome.nextAt,
      last_attempt_at: outcome.at,
      last_status: outcome.status ?? null,
      last_error: outcome.error ?? null,
      ended_at: outcome.state === 'pending' ? null : outcome.at,
    })
    .where('id', '=', id)
    .where('state', '=', 'pending')
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('webhook as w')
          .select('w.id')
          .whereRef('w.id', '=', 'webhook_delivery.webhook_id')
          .where('w.owner', '=', claim.owner)
          .where('w.epoch', '=', claim.epoch),
      ),
    )
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Deliveries of a webhook, the newest first, behind the number `behind` when given. */
export async function listDeliveries(
  db: Db,
  webhookId: string,
  page: {
    readonly state: Delivery['state'] | undefined
    readonly behind: bigint | undefined
    readonly limit: number
  },
): Promise<Delivery[]> {
  let query = db
    .selectFrom('webhook_delivery')
    .select(DELIVERY)
    .where('webhook_id', '=', webhookId)
    .orderBy('nr', 'desc')
    .limit(page.limit)
  if (page.state !== undefined) query = query.where('state', '=', page.state)
  if (page.behind !== undefined) query = query.where('nr', '<', page.behind)
  return (await query.execute()).map(deliveryOf)
}

/** The number of a delivery of a webhook, by its id; undefined when there is none. */
export async function numberOfDelivery(
  db: Db,
  { id, webhookId }: { readonly id: string; readonly webhookId: string },
): Promise<bigint | undefined> {
  const query = db.selectFrom('webhook_delivery').select('nr').where('id', '=', id)
  return (await query.where('webhook_id', '=', webhookId).executeTakeFirst())?.nr
}

/** The delivery of this id, locked until the transaction ends. */
export async function lockDelivery(
  trx: Db,
  webhookId: string,
  id: string,
): Promise<Delivery | undefined> {
  const row = await trx
    .selectFrom('webhook_delivery')
    .select(DELIVERY)
    .where('webhook_id', '=', webhookId)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : deliveryOf(row)
}

/** Makes a delivery due now, with all its tries before it. */
export async function restartDelivery(trx: Db, id: string, now: Date): Promise<void> {
  await trx
    .updateTable('webhook_delivery')
    .set({ state: 'pending', attempts: 0, next_at: now, ended_at: null })
    .where('id', '=', id)
    .execute()
}

/** How many deliveries wait or were given up. */
export async function countDeliveries(
  db: Db,
): Promise<{ readonly state: string; readonly count: number }[]> {
  const rows = await db
    .selectFrom('webhook_delivery')
    .select((eb) => ['state', eb.fn.countAll().as('count')])
    .where('state', '<>', 'delivered')
    .groupBy('state')
    .execute()
  return rows.map(({ state, count }) => ({ state, count: Number(count) }))
}

/** Deletes deliveries that ended before a moment; answers how many. */
export async function pruneDeliveries(db: Db, before: Date): Promise<bigint> {
  const { numDeletedRows } = await db
    .deleteFrom('webhook_delivery')
    .where('ended_at', '<', before)
    .executeTakeFirst()
  return numDeletedRows
}

function deliveryOf(
  row: Pick<Selectable<WebhookDeliveryTable>, (typeof DELIVERY)[number]>,
): Delivery {
  return {
    id: row.id,
    nr: row.nr,
    webhookId: row.webhook_id,
    event: row.event,
    body: row.body,
    state: row.state,
    attempts: row.attempts,
    nextAt: row.next_at,
    lastAttemptAt: row.last_attempt_at ?? undefined,
    lastStatus: row.last_status ?? undefined,
    lastError: row.last_error ?? undefined,
    createdAt: row.created_at,
    endedAt: row.ended_at ?? undefined,
  }
}
