import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '../http/log.ts'
import type { BundleFetches } from '../http/metrics.ts'
import { isLocalhost } from '../mesh/bundle-host.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { CurrentBundles } from './current.ts'
import { type FormerHosts, plainHost } from './former-hosts.ts'
import type { ReaderCounts } from './reader-counts.ts'
import { plainAddress } from './recent-sources.ts'
import { chooseRepresentation, heldRepresentation, type ServedBundle } from './representation.ts'

/** What {@link KnownUrls} needs. */
export interface KnownUrlsOptions {
  readonly bundles: CurrentBundles
  readonly readers: ReaderCounts
  readonly formerHosts: Pick<FormerHosts, 'note'>
  readonly fetches: BundleFetches
  readonly log: Logger
}

/** What a URL that was answered once stands for. */
export interface KnownUrl {
  readonly trustDomain: TrustDomain
  /** The reader in it, whose reference was checked. */
  readonly readerId?: string
}

// Mozilla's intermediate profile asks for two years (FE-T1); on localhost it would bind every other port too.
const HSTS = 'max-age=63072000'

/** URLs remembered at once; beyond it all are forgotten and learned again. */
const MOST_REMEMBERED = 200_000
/** Of the answers here one in this many is logged (one log line each costs 45 %); all are counted. */
const SAMPLE = 1000

/** The headers of an answer with this bundle, for a client that asked `host`; also those of a 304 (RFC 9110 §15.4.5). */
export function bundleHeaders(
  etag: string,
  about: { readonly cacheControl: string; readonly host: string },
): Record<string, string> {
  return {
    etag,
    'cache-control': about.cacheControl,
    vary: 'Accept-Encoding',
    ...(isLocalhost(about.host) ? {} : { 'strict-transport-security': HSTS }),
  }
}

/** How an answer at this kind of URL may be cached (FE-11). */
export function cacheControlOf(bundle: ServedBundle, isReaderUrl: boolean): string {
  return isReaderUrl ? 'private, no-cache' : bundle.publicCacheControl
}

/**
 * Answers GETs of bundle URLs that were answered before, ahead of routing: a peer polls the same URL for ever, and
 * its MAC need not be checked nor its route looked up each time.
 *
 * Everything unusual is left to the routes: other methods, URLs not seen yet, a database that is silent, a reader
 * whose row must be looked up again.
 */
export class KnownUrls {
  readonly #options: KnownUrlsOptions
  readonly #urls = new Map<string, KnownUrl>()
  #answered = 0

  constructor(options: KnownUrlsOptions) {
    this.#options = options
  }

  /**
   * Remembers a URL that the routes answered, if it is written plainly: with a query or escapes anybody could make
   * any number of URLs that mean the same.
   */
  learn(url: string, known: KnownUrl): void {
    if (!/^[A-Za-z0-9._/-]+$/.test(url)) return
    if (this.#urls.size >= MOST_REMEMBERED) this.#urls.clear()
    this.#urls.set(url, known)
  }

  /** Answers a request if it can, and tells whether it did. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.method !== 'GET') return false
    const known = this.#urls.get(request.url ?? '')
    if (known === undefined) return false
    const bundle = this.#options.bundles.freshNow(known.trustDomain)
    if (bundle === undefined || !this.#readerExists(known)) return false
    this.#send(bundle, known, { request, response })
    return true
  }

  #readerExists({ trustDomain, readerId }: KnownUrl): boolean {
    return readerId === undefined || this.#options.readers.isKnown(trustDomain, readerId)
  }

  #send(
    bundle: ServedBundle,
    known: KnownUrl,
    { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  ): void {
    const { 'if-none-match': ifNoneMatch, 'accept-encoding': acceptEncoding } = request.headers
    const held = heldRepresentation(bundle, ifNoneMatch)
    const chosen = held ?? chooseRepresentation(bundle, acceptEncoding)
    const headers: Record<string, string | number> = bundleHeaders(chosen.etag, {
      cacheControl: cacheControlOf(bundle, known.readerId !== undefined),
      host: (request.headers.host ?? '').replace(/:[0-9]+$/, ''),
    })
    if (held === undefined) {
      headers['content-type'] = 'application/json'
      headers['content-length'] = chosen.body.length
      if (chosen.encoding !== undefined) headers['content-encoding'] = chosen.encoding
    }
    this.#count(held === undefined ? 200 : 304)
    response.writeHead(held === undefined ? 200 : 304, headers)
    response.end(
      held === undefined ? chosen.body : undefined,
      this.#whenComplete(bundle, known, request),
    )
  }

  /** A reader holds the sequence only when the whole answer went out. */
  #whenComplete(
    { meshId, sequence }: ServedBundle,
    { trustDomain, readerId: id }: KnownUrl,
    request: IncomingMessage,
  ): (() => void) | undefined {
    const { readers, formerHosts } = this.#options
    const host = plainHost(request.headers.host)
    formerHosts.note(host)
    if (id === undefined) return undefined
    const source = plainAddress(request.socket.remoteAddress)
    return () => readers.count({ meshId, trustDomain, id, sequence, host, source })
  }

  #count(status: 200 | 304): void {
    this.#options.fetches[status] += 1
    this.#answered += 1
    if (this.#answered % SAMPLE !== 0) return
    this.#options.log.info(
      { event: 'request.answered', listener: 'federation', status, sampled: SAMPLE },
      'request answered',
    )
  }
}
