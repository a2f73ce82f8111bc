import { newId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { isAtLeast } from './alert-codes.ts'
import { type AlertEvent, bodyOf } from './alert-events.ts'
import { insertDeliveries, type Listener, type NewDelivery } from './webhook-store.ts'

/** Most deliveries that wait for one webhook; what comes then is dead from the start, and shown as such. */
export const MAX_QUEUE = 10_000

const FULL = `${MAX_QUEUE} deliveries wait for this webhook already`

/**
 * Queues what webhooks are to be told, in the transaction that changed the alerts: told at least once, or not
 * changed.
 */
export async function queueEvents(
  trx: Db,
  events: readonly AlertEvent[],
  { listeners, now }: { readonly listeners: readonly Listener[]; readonly now: Date },
): Promise<void> {
  if (listeners.length === 0) return
  const deliveries: NewDelivery[] = []
  for (const listener of listeners) {
    const wanted = events.filter((event) => wants(listener, event))
    const room = Math.max(0, MAX_QUEUE - listener.pending)
    for (const [index, event] of wanted.entries()) {
      deliveries.push({
        id: newId(),
        webhookId: listener.id,
        event: event.type,
        body: bodyOf(event, now),
        refusal: index < room ? undefined : FULL,
      })
    }
  }
  await insertDeliveries(trx, deliveries, now)
}

/** Whether a webhook is told of an event: of its mesh or any, of its codes or all, urgent enough. */
export function wants(
  listener: Omit<Listener, 'pending'>,
  { alert, severity }: AlertEvent,
): boolean {
  if (listener.meshId !== undefined && listener.meshId !== alert.meshId) return false
  if (listener.codes !== undefined && !listener.codes.includes(alert.code)) return false
  return isAtLeast(severity, listener.minSeverity)
}
