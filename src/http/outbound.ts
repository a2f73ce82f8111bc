import { type SecureContext } from 'node:tls'
import { type Dispatcher } from 'undici'
import { type Clock } from '../clock.ts'
import { assertOutsideTransaction } from '../db/transaction-scope.ts'
import { ServiceError } from '../errors.ts'
import { type EndpointUrl, parseEndpointUrl } from '../spiffe/endpoint-profile.ts'
import { type EgressRule } from './egress-rule.ts'
import { LOOKUP_LIMITS, Lookups, resolveByNetwork } from './lookups.ts'
import { type CallAnswer, callOnce, type OutboundCall } from './outbound-call.ts'
import { type Resolve, resolveByMachine, type ServerProof, webContext } from './outbound-connect.ts'
import { type Probe } from './outbound-probe.ts'
import { failureOf } from './outbound-failure.ts'
import {
  headerOf,
  type HopDeps,
  OUTBOUND_LIMITS,
  type OutboundContact,
  type OutboundLimits,
  plainBody,
  refused,
  sendOnce,
} from './outbound-hop.ts'

export { type CallAnswer, type OutboundCall } from './outbound-call.ts'
export { type ServerProof } from './outbound-connect.ts'
export { type OutboundContact, type OutboundLimits } from './outbound-hop.ts'

/** What {@link openOutbound} needs. */
export interface OutboundOptions {
  /** The egress rules that apply to a mesh: configuration and setting, newest first does not matter. */
  readonly rulesFor: (meshId: string) => Promise<readonly EgressRule[]>
  readonly clock: Clock
  /** Root certificates (PEM) trusted for `web` beside the machine's. */
  readonly extraRootsPem?: readonly string[]
  readonly limits?: Partial<OutboundLimits>
  /** How names become addresses, instead of the machine's resolver and its name servers. */
  readonly resolve?: Resolve
}

/** One GET of a document. */
export interface OutboundRequest {
  readonly method?: undefined
  readonly url: EndpointUrl
  readonly proof: ServerProof
  /** On whose behalf: decides which egress rules apply. */
  readonly meshId: string
  /** ETag of the document in use, for a conditional request. */
  readonly etag?: string | undefined
  /** Whether redirects are followed (FE-27, FE-29). */
  readonly redirects: 'follow' | 'refuse'
  readonly signal?: AbortSignal
  /** Filled with what the connection sees; for somebody who asks why it fails. */
  readonly probe?: Probe
}

/** A complete answer: 200 with its body, or 304 to the ETag that was sent. */
export type OutboundAnswer =
  | { readonly status: 200; readonly body: Uint8Array; readonly etag: string | undefined }
  | { readonly status: 304 }

/** An answer, or the reason why there is none; `contact` tells how far the request came (FE-42). */
export type OutboundOutcome =
  | { readonly contact: OutboundContact; readonly answer: OutboundAnswer }
  | { readonly contact: OutboundContact; readonly error: ServiceError }

/** What a call gave, or the reason why there is no answer at all. */
export type CallOutcome =
  | { readonly contact: OutboundContact; readonly answer: CallAnswer }
  | { readonly contact: OutboundContact; readonly error: ServiceError }

/**
 * The only opener of connections to others.
 *
 * Requests never throw for what a peer does; they throw TRANSACTION_MISUSE, and the signal's reason when aborted.
 */
export interface Outbound {
  /** Fetches a document. */
  request(request: OutboundRequest): Promise<OutboundOutcome>
  /** Calls an API (`method` GET or POST): same guard, same limits, no redirects. */
  request(call: OutboundCall): Promise<CallOutcome>
}

type Deps = Pick<HopDeps, 'limits' | 'clock' | 'resolve' | 'webContext'>

/** The journey of one request, over all its hops. */
interface Journey extends HopDeps {
  readonly request: OutboundRequest
}

/** Makes the door outward: guarded, bounded, one fresh connection per hop, nothing remembered. */
export function openOutbound(options: OutboundOptions): Outbound {
  let context: SecureContext | undefined
  const lookups = new Lookups({
    machine: options.resolve ?? resolveByMachine,
    other: options.resolve === undefined ? resolveByNetwork(LOOKUP_LIMITS.secondMs) : undefined,
    clock: options.clock,
  })
  const deps: Deps = {
    limits: { ...OUTBOUND_LIMITS, ...options.limits },
    clock: options.clock,
    resolve: (host) => lookups.resolve(host),
    webContext: () => (context ??= webContext(options.extraRootsPem ?? [])),
  }
  function request(wanted: OutboundRequest): Promise<OutboundOutcome>
  function request(wanted: OutboundCall): Promise<CallOutcome>
  async function request(wanted: OutboundRequest | OutboundCall) {
    assertOutsideTransaction('an outgoing connection')
    const rules = await options.rulesFor(wanted.meshId)
    return wanted.method === undefined
      ? travel({ deps, wanted, rules }, (hop) =>
          followHops({ ...hop, probe: wanted.probe, request: wanted }),
        )
      : travel({ deps, wanted, rules }, (hop) => callOnce(hop, wanted))
  }
  return { request }
}

interface Trip {
  readonly deps: Deps
  readonly wanted: OutboundRequest | OutboundCall
  readonly rules: readonly EgressRule[]
}

async function travel<T>(
  { deps, wanted, rules }: Trip,
  go: (hop: HopDeps) => Promise<T>,
): Promise<
  { contact: OutboundContact; answer: T } | { contact: OutboundContact; error: ServiceError }
> {
  const contact: OutboundContact = {
    url: wanted.url,
    redirects: [],
    address: undefined,
    presentedIds: [],
    chainSha256: undefined,
  }
  const limit = AbortSignal.timeout(deps.limits.totalMs)
  const signal = wanted.signal === undefined ? limit : AbortSignal.any([limit, wanted.signal])
  try {
    return { contact, answer: await go({ ...deps, proof: wanted.proof, rules, contact, signal }) }
  } catch (error) {
    wanted.signal?.throwIfAborted()
    return { contact, error: failureOf(error, failureContext(deps, wanted.proof, contact)) }
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

type Answer = { readonly answer: OutboundAnswer } | { readonly location: string }

function oneHop(journey: Journey, url: EndpointUrl): Promise<Answer> {
  const { etag } = journey.request
  const headers = {
    accept: 'application/json',
    ...(etag === undefined ? {} : { 'if-none-match': etag }),
  }
  return sendOnce(journey, { method: 'GET', url, headers }, (response) =>
    readHop(response, { url, etag }),
  )
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])

async function readHop(
  response: Dispatcher.ResponseData,
  { url, etag }: { url: EndpointUrl; etag: string | undefined },
): Promise<Answer> {
  const { statusCode } = response
  const host = new URL(url).host
  if (REDIRECTS.has(statusCode)) {
    const location = headerOf(response, 'location')
    if (location === undefined) throw refused(`${host} answered ${statusCode} without a Location`)
    return { location }
  }
  if (statusCode === 304 && etag !== undefined) {
    refuseOtherEtag(usableEtag(headerOf(response, 'etag')), { asked: etag, host })
    return { answer: { status: 304 } }
  }
  if (statusCode !== 200) throw refused(`${host} answered ${statusCode}, wanted 200`)
  const body = await plainBody(response, url)
  return { answer: { status: 200, body, etag: usableEtag(headerOf(response, 'etag')) } }
}

// An ETag is sent back as it came (RFC 9110 §8.8.3): only one that is well formed and short is kept.
function usableEtag(etag: string | undefined): string | undefined {
  return etag !== undefined && etag.length <= 256 && /^(?:W\/)?"[\x21\x23-\x7e]*"$/.test(etag)
    ? etag
    : undefined
}

// A 304 repeats the ETag that was asked about (RFC 9110 §15.4.5); another one confirms another document.
function refuseOtherEtag(
  found: string | undefined,
  { asked, host }: { asked: string; host: string },
): void {
  if (found === undefined || opaque(found) === opaque(asked)) return
  throw refused(`${host} answered 304 about the ETag ${found}, asked about ${asked}`)
}

function opaque(etag: string): string {
  return etag.replace(/^W\//, '')
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

function failureContext({ limits }: Deps, wanted: ServerProof, contact: OutboundContact) {
  const { hostname, port } = new URL(contact.url)
  return {
    target: `${hostname}:${port || '443'}`,
    wanted,
    presentedIds: contact.presentedIds,
    connectMs: limits.connectMs,
    totalMs: limits.totalMs,
    maxBytes: limits.maxBytes,
  }
}
