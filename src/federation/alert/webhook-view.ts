import { type DeliveryView, type TestedWebhookView, type WebhookView } from './alert-api.ts'
import { type Delivery } from './delivery-store.ts'
import { type Sent } from './send-webhook.ts'
import { type Webhook } from './webhook-store.ts'

/** A webhook as the API shows it, without its secret. */
export function viewWebhook(webhook: Webhook): WebhookView {
  return {
    id: webhook.id,
    meshId: webhook.meshId ?? null,
    name: webhook.name,
    url: webhook.url,
    minSeverity: webhook.minSeverity,
    codes: webhook.codes === undefined ? null : [...webhook.codes],
    note: webhook.note ?? null,
    createdAt: webhook.createdAt.toISOString(),
  }
}

/** A delivery as the API shows it. */
export function viewDelivery(delivery: Delivery): DeliveryView {
  return {
    id: delivery.id,
    event: delivery.event,
    state: delivery.state,
    attempts: delivery.attempts,
    nextAt: delivery.state === 'pending' ? delivery.nextAt.toISOString() : null,
    lastAttemptAt: delivery.lastAttemptAt?.toISOString() ?? null,
    lastStatus: delivery.lastStatus ?? null,
    lastError: delivery.lastError ?? null,
    createdAt: delivery.createdAt.toISOString(),
    endedAt: delivery.endedAt?.toISOString() ?? null,
    body: delivery.body,
  }
}

/** How a test message went. */
export function viewSent({ delivered, status, error }: Sent): Omit<TestedWebhookView, 'body'> {
  return {
    delivered,
    status: status ?? null,
    error:
      error === undefined
        ? null
        : { code: error.code, message: error.message, next: error.next ?? null },
  }
}
