import { type Keyring } from '../../db/keyring.ts'
import { ServiceError } from '../../errors.ts'
import { type Outbound } from '../../http/outbound.ts'
import { type Webhook } from './webhook-store.ts'
import { type SignedMessage, signatureHeaders } from './webhook-signature.ts'

/** What sending to webhooks needs. */
export interface SendDeps {
  readonly outbound: Outbound
  readonly keyring: Pick<Keyring, 'open'>
}

/** How one request to a receiver ended; delivered only by an answer of 200 to 299. */
export interface Sent {
  readonly delivered: boolean
  readonly status: number | undefined
  readonly error: ServiceError | undefined
}

/** The place of a webhook's secret among what the KEK seals. */
export function webhookSeal(id: string) {
  return { of: 'secret', name: `webhook/${id}` } as const
}

/**
 * Sends one signed message to a webhook's receiver: one POST over the guarded door outward, no redirects.
 *
 * What the receiver does is in the answer; throws SEAL_BROKEN or KEK_WRONG when the secret cannot be opened.
 */
export async function sendToWebhook(
  { outbound, keyring }: SendDeps,
  { webhook, message }: { readonly webhook: Webhook; readonly message: SignedMessage },
  signal?: AbortSignal,
): Promise<Sent> {
  const secret = keyring.open(webhook.sealedSecret, webhookSeal(webhook.id))
  const outcome = await outbound.request({
    method: 'POST',
    url: webhook.url,
    proof: { kind: 'web' },
    // Those of the service go by the rules for all meshes.
    meshId: webhook.meshId ?? '',
    contentType: 'application/json',
    headers: signatureHeaders(secret, message),
    body: new TextEncoder().encode(message.body),
    ...(signal === undefined ? {} : { signal }),
  })
  if ('error' in outcome) return { delivered: false, status: undefined, error: outcome.error }
  const { status } = outcome.answer
  if (status >= 200 && status < 300) return { delivered: true, status, error: undefined }
  const { host } = new URL(webhook.url)
  const error = new ServiceError('PEER_ANSWER_REFUSED', `${host} answered ${status}, wanted 2xx`)
  return { delivered: false, status, error }
}
