import { createHmac, randomBytes } from 'node:crypto'

const SECRET_BYTES = 32
const PREFIX = 'whsec_'

/** A new secret, and the text in which its owner gets it (Standard Webhooks: `whsec_` and base64). */
export function newWebhookSecret(): { readonly bytes: Uint8Array; readonly text: string } {
  const bytes = randomBytes(SECRET_BYTES)
  return { bytes, text: PREFIX + bytes.toString('base64') }
}

/** What is signed. */
export interface SignedMessage {
  /** The same for every try, so that a receiver can tell a repetition. */
  readonly id: string
  /** The moment of this try; a receiver refuses what is more than five minutes off. */
  readonly at: Date
  readonly body: string
}

/**
 * The headers of Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature`,
 * `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.
 */
export function signatureHeaders(
  secret: Uint8Array,
  { id, at, body }: SignedMessage,
): Record<string, string> {
  const timestamp = Math.floor(at.getTime() / 1000).toString()
  const mac = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${mac}` }
}
