import { type SecureContext } from 'node:tls'
import { Client, type Dispatcher } from 'undici'
import { type Clock } from '../clock.ts'
import { assertOutsideTransaction } from '../db/transaction-scope.ts'
import { ServiceError } from '../errors.ts'
import { type EndpointUrl, parseEndpointUrl } from '../spiffe/endpoint-profile.ts'
import { type EgressRule } from './egress-rule.ts'
import { failureOf } from './outbound-failure.ts'
import {
  type Contact,
  guardedConnector,
  type Resolve,
  resolveByMachine,
  type ServerProof,
  webContext,
} from './outbound-connect.ts'

export { type ServerProof } from './outbound-connect.ts'

/** Bounds of one request; the defaults are {@link OUTBOUND_LIMITS}. */
export interface OutboundLimits {
  /** TCP and TLS of one connection. */
  readonly connectMs: number
  /** From the first lookup to the last byte, redirects included. */
  readonly totalMs: number
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

/** What {@link openOutbound} needs. */
export interface OutboundOptions {
  /** The egress rules that apply to a mesh: configuration and setting, newest first does not matter. */
  readonly rulesFor: (meshId: string) => Promise<readonly EgressRule[]>
  readonly clock: Clock
  /** Root certificates (PEM) trusted for `web` beside the machine's. */
  readonly extraRootsPem?: readonly string[]
  readonly limits?: Partial<OutboundLimits>
  readonly resolve?: Resolve
}

/** One GET. */
export interface OutboundRequest {
  readonly url: EndpointUrl
  readonly proof: ServerProof
  /** On whose behalf: decides which egress rules apply. */
  readonly meshId: string
  /** ETag of the document in use, for a conditional request. */
  readonly etag?: string | undefined
  /** Whether redirects are followed (FE-27, FE-29). */
  readonly redirects: 'follow' | 'refuse'
  readonly signal?: AbortSignal
}

/** Where a request ended and whom it met there. */
export interface OutboundContact extends Contact {
  /** The URL that answered; differs from the configured one after redirects. */
  url: string
  readonly redirects: string[]
}

/** A complete answer: 200 with its body, or 304 to the ETag that was sent. */
export type OutboundAnswer =
  | { readonly status: 200; readonly body: Uint8Array; readonly etag: string | undefined }
  | { readonly status: 304 }

/** An answer, or the reason why there is none; `contact` tells how far the request came (FE-42). */
export type OutboundOutcome =
  | { readonly contact: OutboundContact; readonly answer: OutboundAnswer }
  | { readonly contact: OutboundContact; readonly error: ServiceError }

/** The only opener of connections to others. */
export interface Outbound {
  /** Never throws for what a peer does; throws TRANSACTION_MISUSE, and the signal's reason when aborted. */
  request(request: OutboundRequest): Promise<OutboundOutcome>
}

interface Deps {
  readonly limits: OutboundLimits
  readonly clock: Clock
  readonly resolve: Resolve
  readonly webContext: () => SecureContext
}

/** The journey of one request, over all its hops. */
interface Journey extends Deps {
  readonly request: OutboundRequest
  readonly rules: readonly EgressRule[]
  readonly contact: OutboundContact
  readonly signal: AbortSignal
}

/** Makes the door outward: guarded, bounded, one fresh connection per hop, nothing remembered. */
export function openOutbound(options: OutboundOptions): Outbound {
  let context: SecureContext | undefined
  const deps: Deps = {
    limits: { ...OUTBOUND_LIMITS, ...options.limits },
    clock: options.clock,
    resolve: options.resolve ?? resolveByMachine,
    webContext: () => (context ??= webContext(options.extraRootsPem ?? [])),
  }
  return {
    request: async (request) => {
      assertOutsideTransaction('an outgoing connection')
      const rules = await options.rulesFor(request.meshId)
      return travel(deps, request, rules)
    },
  }
}

async function travel(
  deps: Deps,
  request: OutboundRequest,
  rules: readonly EgressRule[],
): Promise<OutboundOutcome> {
  const contact: OutboundContact = {
    url: request.url,
    redirects: [],
    address: undefined,
    presentedIds: [],
    chainSha256: undefined,
  }
  const limit = AbortSignal.timeout(deps.limits.totalMs)
  const signal = request.signal === undefined ? limit : AbortSignal.any([limit, request.signal])
  try {
    return { contact, answer: await followHops({ ...deps, request, rules, contact, signal }) }
  } catch (error) {
    request.signal?.throwIfAborted()
    return { contact, error: failureOf(error, failureContext(deps, request, contact)) }
  }
}

async function followHops(journey: Journey): Promise<OutboundAnswer> {
  const { request, contact, limits } = journey
  const visited = new Set<string>()
  let url: EndpointUrl = request.url
  for (;;) {
    visited.add(new URL(url).href)
    contact.url = url
    const hop = await oneHop(journey, url)
    if ('answer' in hop) return hop.answer
    refuseUnwanted(journey, hop.location)
    url = redirectTarget(url, hop.location)
    contact.redirects.push(url)
    if (visited.has(new URL(url).href))
      throw refused(`the redirects of ${request.url} go round in a circle`)
    if (contact.redirects.length > limits.maxRedirects) {
      throw refused(`${request.url} redirects more than ${limits.maxRedirects} times`)
    }
  }
}

type Hop = { readonly answer: OutboundAnswer } | { readonly location: string }

async function oneHop(journey: Journey, url: EndpointUrl): Promise<Hop> {
  const { limits, request, signal } = journey
  const { origin, pathname, search } = new URL(url)
  const client = new Client(origin, {
    connect: guardedConnector({
      ...journey,
      proof: request.proof,
      connectMs: limits.connectMs,
      now: journey.clock.now(),
    }),
    pipelining: 1,
    headersTimeout: limits.totalMs,
    bodyTimeout: limits.totalMs,
    maxResponseSize: limits.maxBytes,
  })
  try {
    const headers = requestHeaders(request)
    const response = await client.request({
      method: 'GET',
      path: pathname + search,
      headers,
      signal,
    })
    return await readHop(response, { url, etag: request.etag })
  } finally {
    // Destroying also drops a body that was not read.
    await client.destroy().catch(() => undefined)
  }
}

function requestHeaders({ etag }: OutboundRequest): Record<string, string> {
  return {
    accept: 'application/json',
    'accept-encoding': 'identity',
    'user-agent': 'entente',
    ...(etag === undefined ? {} : { 'if-none-match': etag }),
  }
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])

async function readHop(
  response: Dispatcher.ResponseData,
  { url, etag }: { url: EndpointUrl; etag: string | undefined },
): Promise<Hop> {
  const { statusCode, headers } = response
  const host = new URL(url).host
  if (REDIRECTS.has(statusCode)) {
    const location = headerOf(headers, 'location')
    if (location === undefined) throw refused(`${host} answered ${statusCode} without a Location`)
    return { location }
  }
  if (statusCode === 304 && etag !== undefined) return { answer: { status: 304 } }
  if (statusCode !== 200) throw refused(`${host} answered ${statusCode}, wanted 200`)
  const encoding = headerOf(headers, 'content-encoding') ?? 'identity'
  if (encoding !== 'identity') {
    throw refused(
      `${host} answered with content encoding ${JSON.stringify(encoding.slice(0, 40))} though none was asked for`,
    )
  }
  const body = new Uint8Array(await response.body.arrayBuffer())
  return { answer: { status: 200, body, etag: usableEtag(headerOf(headers, 'etag')) } }
}

function headerOf(headers: Dispatcher.ResponseData['headers'], name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

// An ETag is sent back as it came (RFC 9110 §8.8.3): only one that is well formed and short is kept.
function usableEtag(etag: string | undefined): string | undefined {
  return etag !== undefined && etag.length <= 256 && /^(?:W\/)?"[\x21\x23-\x7e]*"$/.test(etag)
    ? etag
    : undefined
}

function refuseUnwanted({ request }: Journey, location: string): void {
  if (request.redirects === 'follow') return
  throw refused(
    `${request.url} redirects to ${JSON.stringify(location.slice(0, 200))}, and redirects are switched off`,
  )
}

/** The next hop, judged on the raw text where it is absolute: a valid endpoint URL or a refusal (FE-27). */
function redirectTarget(current: EndpointUrl, location: string): EndpointUrl {
  const bare = location.split('#', 1)[0] ?? ''
  const scheme = /^[a-z][a-z0-9+.-]*:/i.test(bare)
  try {
    if (/[\\\s]/.test(bare))
      throw new ServiceError('ENDPOINT_URL_INVALID', 'has a blank or a backslash')
    if (scheme) return parseEndpointUrl(bare)
    if (bare.startsWith('//')) return parseEndpointUrl(`https:${bare}`)
    return parseEndpointUrl(new URL(bare, current).href)
  } catch (cause) {
    throw new ServiceError(
      'PEER_ANSWER_REFUSED',
      `${new URL(current).host} redirects to ${JSON.stringify(location.slice(0, 200))}, which is no valid endpoint URL`,
      { cause },
    )
  }
}

function failureContext({ limits }: Deps, request: OutboundRequest, contact: OutboundContact) {
  const { hostname, port } = new URL(contact.url)
  return {
    target: `${hostname}:${port || '443'}`,
    wanted: request.proof,
    presentedIds: contact.presentedIds,
    connectMs: limits.connectMs,
    totalMs: limits.totalMs,
    maxBytes: limits.maxBytes,
  }
}

function refused(message: string): ServiceError {
  return new ServiceError('PEER_ANSWER_REFUSED', message)
}
