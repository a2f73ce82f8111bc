import type { FastifyReply, FastifyRequest } from 'fastify'
import { ServiceError } from '../errors.ts'
import type { App } from '../http/listener.ts'
import type { BundleFetches } from '../http/metrics.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { CurrentBundles } from './current.ts'
import { bundleHeaders, cacheControlOf, type KnownUrls } from './known-urls.ts'
import type { ReaderCounts } from './reader-counts.ts'
import { readReaderRef } from './reader-ref.ts'
import {
  chooseRepresentation,
  heldRepresentation,
  type Representation,
  type ServedBundle,
} from './representation.ts'

/** What the bundle endpoint needs; it asks nobody who they are (FE-13). */
export interface BundleEndpointOptions {
  readonly bundles: CurrentBundles
  readonly readers: ReaderCounts
  /** The secret behind reader references. */
  readonly readerSecret: Uint8Array
  readonly fetches: BundleFetches
  /** Learns the URLs that were answered, to answer them itself from then on. */
  readonly urls: KnownUrls
}

const OTHER_METHODS = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

interface PlainParams {
  td: string
}
interface ReaderParams extends PlainParams {
  ref: string
}

/**
 * The bundle endpoint of SPIFFE Federation §5.2: the newest bundle of each of our trust domains, over HTTPS, to
 * anybody (FE-10 to FE-13). It never redirects (FE-17, FE-18).
 */
export const bundleEndpointRoutes = async (
  app: App,
  options: BundleEndpointOptions,
): Promise<void> => {
  app.route<{ Params: PlainParams }>({
    method: ['GET', 'HEAD'],
    url: '/bundles/:td',
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const bundle = await find(options, request.params.td)
      options.urls.learn(request.raw.url ?? '', { trustDomain: bundle.trustDomain })
      return answer(options, { bundle, request, reply, isReaderUrl: false })
    },
  })

  app.route<{ Params: ReaderParams }>({
    method: ['GET', 'HEAD'],
    url: '/bundles/:td/for/:ref',
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const bundle = await find(options, request.params.td)
      const { meshId, trustDomain, sequence } = bundle
      const id = readReaderRef(options.readerSecret, trustDomain, request.params.ref)
      if (id === undefined) throw notFound()
      if (!(await options.readers.exists(meshId, trustDomain, id))) throw notFound()
      const access = { meshId, trustDomain, id, sequence }
      if (request.method === 'GET') countWhenComplete(reply, () => options.readers.count(access))
      options.urls.learn(request.raw.url ?? '', { trustDomain, readerId: id })
      return answer(options, { bundle, request, reply, isReaderUrl: true })
    },
  })

  for (const url of ['/bundles/:td', '/bundles/:td/for/:ref']) {
    app.route({
      method: [...OTHER_METHODS],
      url,
      // Before the body is read: what it holds makes no difference.
      onRequest: async (request, reply) => {
        reply.header('allow', 'GET, HEAD')
        throw new ServiceError(
          'METHOD_NOT_ALLOWED',
          `${request.method} is not possible here; bundles are read with GET`,
        )
      },
      handler: () => undefined,
    })
  }
}

async function find(options: BundleEndpointOptions, td: string): Promise<ServedBundle> {
  // Any text may be asked for: names that are none of ours, malformed ones included, are simply not there.
  const bundle = await options.bundles.fresh(td as TrustDomain)
  if (bundle === undefined) throw notFound()
  return bundle
}

interface Answer {
  readonly bundle: ServedBundle
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly isReaderUrl: boolean
}

function answer(options: BundleEndpointOptions, given: Answer): FastifyReply {
  const { bundle, request, reply, isReaderUrl } = given
  const { 'if-none-match': ifNoneMatch, 'accept-encoding': acceptEncoding } = request.headers
  const held = heldRepresentation(bundle, ifNoneMatch)
  const chosen = held ?? chooseRepresentation(bundle, acceptEncoding)
  const cacheControl = cacheControlOf(bundle, isReaderUrl)
  reply.headers(bundleHeaders(chosen.etag, { cacheControl, host: request.hostname }))
  options.fetches[held === undefined ? 200 : 304] += 1
  if (held !== undefined) return reply.code(304).send()
  return sendBody(reply, chosen)
}

function sendBody(reply: FastifyReply, chosen: Representation): FastifyReply {
  reply.header('content-type', 'application/json')
  if (chosen.encoding !== undefined) reply.header('content-encoding', chosen.encoding)
  return reply.code(200).send(chosen.body)
}

function countWhenComplete(reply: FastifyReply, count: () => void): void {
  const { raw } = reply
  raw.once('finish', () => {
    if ((raw.statusCode === 200 || raw.statusCode === 304) && !raw.destroyed) count()
  })
}

function notFound(): ServiceError {
  return new ServiceError('NOT_FOUND', 'no bundle is published at this address')
}
