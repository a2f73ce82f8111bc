import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { isUniqueViolation } from '../../db/failures.ts'
import { newId } from '../../db/ids.ts'
import { type Keyring } from '../../db/keyring.ts'
import { type Db, type Severity } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { parseEndpointUrl } from '../../spiffe/endpoint-profile.ts'
import { isAlertCode } from './alert-codes.ts'
import { type Delivery, lockDelivery, restartDelivery } from './delivery-store.ts'
import { webhookSeal } from './send-webhook.ts'
import { newWebhookSecret } from './webhook-signature.ts'
import * as store from './webhook-store.ts'

/** A webhook as somebody wrote it. */
export interface WebhookDraft {
  readonly name: string
  readonly url: string
  readonly minSeverity?: Severity
  readonly codes?: readonly string[]
  readonly note?: string
}

/** A webhook that was made, and the secret that is shown this once. */
export interface MadeWebhook {
  readonly webhook: store.Webhook
  readonly secret: string
}

/** Most webhooks of a mesh, and of the service: each is told of every alert that it wants. */
const MAX_WEBHOOKS = 20

/**
 * Makes a webhook with a secret of its own, which is kept under the KEK and never shown again.
 *
 * Throws NOT_FOUND, ENDPOINT_URL_INVALID for anything but https, INVALID_REQUEST for a code that does not exist,
 * ALREADY_EXISTS, and CONFLICT when there are twenty.
 */
export async function createWebhook(
  trx: Db,
  scope: store.WebhookScope,
  made: {
    readonly draft: WebhookDraft
    readonly keyring: Pick<Keyring, 'seal'>
    readonly context: ChangeContext
  },
): Promise<MadeWebhook> {
  const { draft, keyring, context } = made
  if (scope !== undefined) await loadMesh(trx, scope)
  await refuseTooMany(trx, scope)
  refuseUnknownCodes(draft.codes ?? [])
  const id = newId()
  const secret = newWebhookSecret()
  const webhook: store.Webhook = {
    id,
    meshId: scope,
    name: draft.name,
    url: parseEndpointUrl(draft.url),
    minSeverity: draft.minSeverity ?? 'warning',
    codes: draft.codes,
    note: draft.note,
    sealedSecret: keyring.seal(secret.bytes, webhookSeal(id)),
    createdAt: context.now,
  }
  await insertNamed(trx, webhook)
  await audit(trx, webhook, { context, action: 'webhook.create' })
  return { webhook, secret: secret.text }
}

/** Deletes a webhook with what waits for it. Throws NOT_FOUND. */
export async function removeWebhook(
  trx: Db,
  scope: store.WebhookScope,
  gone: { readonly name: string; readonly context: ChangeContext },
): Promise<store.Webhook> {
  const webhook = await loadWebhook(trx, scope, gone.name)
  await store.deleteWebhook(trx, webhook.id)
  await audit(trx, webhook, { context: gone.context, action: 'webhook.delete' })
  return webhook
}

/** The webhook of this name; throws NOT_FOUND. */
export async function loadWebhook(
  db: Db,
  scope: store.WebhookScope,
  name: string,
): Promise<store.Webhook> {
  const found = await store.findWebhook(db, scope, name)
  if (found !== undefined) return found
  const whose = scope === undefined ? 'the service' : `mesh ${quoted(scope)}`
  throw new ServiceError('NOT_FOUND', `${whose} has no webhook ${quoted(name)}`, {
    next: 'entente webhook list',
  })
}

/** Sends a delivery again from the first try, also one that was given up. Throws NOT_FOUND. */
export async function retryDelivery(
  trx: Db,
  scope: store.WebhookScope,
  again: { readonly name: string; readonly id: string; readonly context: ChangeContext },
): Promise<Delivery> {
  const webhook = await loadWebhook(trx, scope, again.name)
  const delivery = await lockDelivery(trx, webhook.id, again.id)
  if (delivery === undefined) {
    throw new ServiceError(
      'NOT_FOUND',
      `webhook ${quoted(again.name)} has no delivery ${quoted(again.id)}`,
      { next: `entente webhook deliveries ${again.name}` },
    )
  }
  const { now } = again.context
  await restartDelivery(trx, delivery.id, now)
  await audit(trx, webhook, {
    context: again.context,
    action: 'webhook.retry',
    more: { delivery: delivery.id, stateBefore: delivery.state },
  })
  return { ...delivery, state: 'pending', attempts: 0, nextAt: now, endedAt: undefined }
}

async function refuseTooMany(trx: Db, scope: store.WebhookScope): Promise<void> {
  const count = await store.countWebhooks(trx, scope)
  if (count < MAX_WEBHOOKS) return
  throw new ServiceError('CONFLICT', `there are ${count} webhooks already, the most there can be`, {
    next: 'entente webhook list',
  })
}

function refuseUnknownCodes(codes: readonly string[]): void {
  const unknown = codes.find((code) => !isAlertCode(code))
  if (unknown === undefined) return
  const message = `there is no alert ${quoted(unknown)}; docs/alerts.md lists them`
  throw new ServiceError('INVALID_REQUEST', message, {
    fields: [{ in: 'body', pointer: `/codes/${codes.indexOf(unknown)}`, detail: message }],
  })
}

async function insertNamed(trx: Db, webhook: store.Webhook): Promise<void> {
  try {
    await store.insertWebhook(trx, webhook)
  } catch (error) {
    if (!isUniqueViolation(error)) throw error
    throw new ServiceError('ALREADY_EXISTS', `there is a webhook ${quoted(webhook.name)} already`, {
      cause: error,
      next: 'entente webhook list',
    })
  }
}

async function audit(
  trx: Db,
  webhook: store.Webhook,
  about: {
    readonly context: ChangeContext
    readonly action: string
    readonly more?: Record<string, string>
  },
): Promise<void> {
  await recordAudit(trx, {
    at: about.context.now,
    meshId: webhook.meshId,
    actor: about.context.actor,
    action: about.action,
    object: `webhook/${webhook.name}`,
    body: {
      id: webhook.id,
      // The path of a receiver's URL is often its password.
      origin: new URL(webhook.url).origin,
      minSeverity: webhook.minSeverity,
      codes: webhook.codes ?? null,
      ...about.more,
    },
  })
}
