import { type SecureContext } from 'node:tls'
import { Client, type Dispatcher } from 'undici'
import { type Clock } from '../clock.ts'
import { ServiceError } from '../errors.ts'
import { type Probe, reach } from './outbound-probe.ts'
import { type EndpointUrl } from '../spiffe/endpoint-profile.ts'
import { type EgressRule } from './egress-rule.ts'
import {
  type Contact,
  guardedConnector,
  type Resolve,
  type ServerProof,
} from './outbound-connect.ts'

/** Bounds of one request; the defaults are {@link OUTBOUND_LIMITS}. */
export interface OutboundLimits {
  /** TCP and TLS of one connection. */
  readonly connectMs: number
  /** From the first lookup to the last byte, redirects included. */
  readonly totalMs: number
  /** Of the body of an answer. */
  readonly maxBytes: number
  readonly maxRedirects: number
}

/** 5 s to connect, 10 s in all, 1 MiB, 5 redirects (FE-27, FE-43). */
export const OUTBOUND_LIMITS: OutboundLimits = {
  connectMs: 5000,
  totalMs: 10_000,
  maxBytes: 1024 * 1024,
  maxRedirects: 5,
}

/** Where a request ended and whom it met there. */
export interface OutboundContact extends Contact {
  /** The URL that answered; differs from the configured one after redirects. */
  url: string
  readonly redirects: string[]
}

/** What one connection of a request is made with. */
export interface HopDeps {
  readonly limits: OutboundLimits
  readonly clock: Clock
  readonly resolve: Resolve
  readonly webContext: () => SecureContext
  readonly rules: readonly EgressRule[]
  readonly proof: ServerProof
  readonly contact: OutboundContact
  readonly probe?: Probe | undefined
  readonly signal: AbortSignal
}

/** One request on a connection of its own. */
export interface Hop {
  readonly method: 'GET' | 'POST'
  readonly url: EndpointUrl
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

/** Sends one request over a fresh guarded connection and reads its answer; the connection ends with it. */
export async function sendOnce<T>(
  deps: HopDeps,
  hop: Hop,
  read: (response: Dispatcher.ResponseData) => Promise<T>,
): Promise<T> {
  const { origin, pathname, search } = new URL(hop.url)
  const client = openClient(deps, origin)
  try {
    const response = await client.request({
      method: hop.method,
      path: pathname + search,
      headers: { 'accept-encoding': 'identity', 'user-agent': 'entente', ...hop.headers },
      signal: deps.signal,
      ...(hop.body === undefined ? {} : { body: hop.body }),
    })
    reach(deps.probe, 'body', { status: response.statusCode, date: headerOf(response, 'date') })
    const answer = await read(response)
    reach(deps.probe, 'done')
    return answer
  } finally {
    // Destroying also drops a body that was not read.
    await client.destroy().catch(() => undefined)
  }
}

function openClient(deps: HopDeps, origin: string): Client {
  const { limits } = deps
  return new Client(origin, {
    connect: guardedConnector({
      ...deps,
      connectMs: limits.connectMs,
      maxBytes: limits.maxBytes,
      now: deps.clock.now(),
    }),
    pipelining: 1,
    headersTimeout: limits.totalMs,
    bodyTimeout: limits.totalMs,
    maxResponseSize: limits.maxBytes,
  })
}

/** The body of an answer, refused unless it comes as it is: no other encoding was asked for. */
export async function plainBody(
  response: Dispatcher.ResponseData,
  url: EndpointUrl,
): Promise<Uint8Array> {
  const encoding = headerOf(response, 'content-encoding') ?? 'identity'
  if (encoding !== 'identity') {
    throw refused(
      `${new URL(url).host} answered with content encoding ${JSON.stringify(encoding.slice(0, 40))} though none was asked for`,
    )
  }
  return new Uint8Array(await response.body.arrayBuffer())
}

/** The first value of a header of an answer. */
export function headerOf(
  { headers }: Pick<Dispatcher.ResponseData, 'headers'>,
  name: string,
): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** An answer that is not what was asked for. */
export function refused(message: string): ServiceError {
  return new ServiceError('PEER_ANSWER_REFUSED', message)
}
