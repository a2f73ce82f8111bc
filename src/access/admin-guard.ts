import type { IncomingHttpHeaders } from 'node:http'
import { ServiceError, quoted } from '../errors.ts'
import type { App } from '../http/listener.ts'

/** Names that the admin listener always answers to, on any port. */
const LOCAL_HOSTS = ['localhost', '127.0.0.1', '[::1]']

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?$/

/** The parts of a request that the guard looks at. */
export interface GuardedRequest {
  readonly method: string
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, as they came: a doubled header shows only here. */
  readonly rawHeaders: readonly string[]
}

/**
 * Refuses what a page in an administrator's browser could send to the admin listener.
 *
 * An unexpected `Host` is MISDIRECTED_HOST (421: DNS rebinding), a foreign `Origin` or a cross-site fetch
 * ORIGIN_REFUSED (403), a mutation whose body is anything but `application/json` MEDIA_TYPE_UNSUPPORTED (415: what
 * a form or a `no-cors` fetch can send). There are no cookies and no CORS headers to get right.
 */
export function guardAdmin(app: App, options: { readonly hosts: readonly string[] }): void {
  const hosts = new Set([...LOCAL_HOSTS, ...options.hosts.map((host) => host.toLowerCase())])
  app.addHook('onRequest', async (request) => {
    assertAdminRequest(
      { method: request.method, headers: request.headers, rawHeaders: request.raw.rawHeaders },
      hosts,
    )
  })
}

/** The decision of {@link guardAdmin}, without a server. */
export function assertAdminRequest(request: GuardedRequest, hosts: ReadonlySet<string>): void {
  assertHost(request, hosts)
  assertOrigin(request)
  assertMediaType(request)
}

function assertHost(request: GuardedRequest, hosts: ReadonlySet<string>): void {
  const host = request.headers.host?.toLowerCase()
  const [, name, port] = HOST.exec(host ?? '') ?? []
  const isSingle = countHeader(request.rawHeaders, 'host') <= 1
  if (isSingle && name !== undefined && (hosts.has(name) || hosts.has(`${name}:${port}`))) return
  const found = host === undefined ? 'no Host' : isSingle ? quoted(host) : 'more than one Host'
  throw new ServiceError(
    'MISDIRECTED_HOST',
    `the admin listener answers to ${[...hosts].join(', ')}, and the request names ${found}`,
    { next: 'add the name to ENTENTE_ADMIN_HOSTS if people reach the service by it' },
  )
}

function assertOrigin(request: GuardedRequest): void {
  const { host, origin } = request.headers
  if (origin !== undefined && !isOwnOrigin(origin, host)) {
    throw originRefused(`the origin ${quoted(origin)}`)
  }
  const site = request.headers['sec-fetch-site']
  if (site === undefined || site === 'same-origin' || site === 'none') return
  if (!isNavigation(request)) throw originRefused(`a ${quoted(site)} page`)
}

function originRefused(from: string): ServiceError {
  return new ServiceError('ORIGIN_REFUSED', `the admin API takes no requests from ${from}`, {
    next: 'call it from a program, or from a page of its own',
  })
}

function isOwnOrigin(origin: string, host: string | undefined): boolean {
  const own = host?.toLowerCase()
  return origin === `http://${own}` || origin === `https://${own}`
}

/** Following a link from another page: reads only, and what it shows stays in its own tab. */
function isNavigation({ method, headers }: GuardedRequest): boolean {
  const isRead = method === 'GET' || method === 'HEAD'
  const isPage = headers['sec-fetch-dest'] === 'document'
  return isRead && isPage && headers['sec-fetch-mode'] === 'navigate'
}

function assertMediaType({ method, headers }: GuardedRequest): void {
  if (method === 'GET' || method === 'HEAD') return
  const type = headers['content-type']
  if (type === undefined && !hasBody(headers)) return
  if (/^application\/json(?:\s*;|$)/i.test(type ?? '')) return
  throw new ServiceError(
    'MEDIA_TYPE_UNSUPPORTED',
    `the admin API takes changes as application/json, found ${type === undefined ? 'no Content-Type' : quoted(type)}`,
    { next: 'send the header Content-Type: application/json' },
  )
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  const length = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
}

/** How often a header came, whatever its case. */
export function countHeader(rawHeaders: readonly string[], name: string): number {
  return rawHeaders.filter((text, i) => i % 2 === 0 && text.toLowerCase() === name).length
}
