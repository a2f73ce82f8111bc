import { type Dispatcher } from 'undici'
import { ServiceError } from '../errors.ts'
import { type EndpointUrl } from '../spiffe/endpoint-profile.ts'
import { type ServerProof } from './outbound-connect.ts'
import { headerOf, type Hop, type HopDeps, plainBody, refused, sendOnce } from './outbound-hop.ts'

/** What every call says. */
interface CallBase {
  readonly url: EndpointUrl
  readonly proof: ServerProof
  /** On whose behalf: decides which egress rules apply. */
  readonly meshId: string
  /** Default application/json; a refusal may come as application/problem+json whatever this says. */
  readonly accept?: string
  /** Further headers in lower case, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/**
 * One call of somebody's API: its caller reads status and body, refusals included. Redirects are never followed,
 * since a body or a credential is meant for the host that was proven. At most {@link MAX_CALL_BYTES} are sent.
 */
export type OutboundCall =
  | (CallBase & { readonly method: 'GET' })
  | (CallBase & {
      readonly method: 'POST'
      readonly body: Uint8Array
      readonly contentType: string
    })

/** A complete answer: 200 to 299, or a refusal or failure of 400 to 599 with whatever body explains it. */
export interface CallAnswer {
  readonly status: number
  /** At most the limit of every answer; empty where there is none. */
  readonly body: Uint8Array
  /** The media type without parameters, in lower case. */
  readonly contentType: string | undefined
  /** `Retry-After` in seconds, at most a day; a date is not read. */
  readonly retryAfterSeconds: number | undefined
}

/** The most that one call sends: 1 MiB, what our own listeners take. */
export const MAX_CALL_BYTES = 1024 * 1024

/** Makes one call. Throws PEER_ANSWER_REFUSED for a redirect, PAYLOAD_TOO_LARGE before anything is contacted. */
export async function callOnce(deps: HopDeps, call: OutboundCall): Promise<CallAnswer> {
  return sendOnce(deps, hopOf(call), (response) => readAnswer(response, call.url))
}

function hopOf(call: OutboundCall): Hop {
  const headers = { ...call.headers, accept: call.accept ?? 'application/json' }
  const { method, url } = call
  if (method === 'GET') return { method, url, headers }
  if (call.body.length > MAX_CALL_BYTES) {
    throw new ServiceError(
      'PAYLOAD_TOO_LARGE',
      `a request to ${new URL(url).host} has ${call.body.length} bytes, at most ${MAX_CALL_BYTES} are sent`,
    )
  }
  return { method, url, headers: { ...headers, 'content-type': call.contentType }, body: call.body }
}

async function readAnswer(
  response: Dispatcher.ResponseData,
  url: EndpointUrl,
): Promise<CallAnswer> {
  const { statusCode: status } = response
  const isAnswer = (status >= 200 && status < 300) || status >= 400
  if (!isAnswer) {
    throw refused(`${new URL(url).host} answered ${status}; calls do not follow redirects`)
  }
  return {
    status,
    body: await plainBody(response, url),
    contentType: headerOf(response, 'content-type')?.split(';', 1)[0]?.trim().toLowerCase(),
    retryAfterSeconds: secondsOf(headerOf(response, 'retry-after')),
  }
}

function secondsOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Math.min(Number(text), 86_400) : undefined
}
