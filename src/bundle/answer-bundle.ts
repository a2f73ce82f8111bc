import type { FastifyReply, FastifyRequest } from 'fastify'
import { ServiceError } from '../errors.ts'
import type { App } from '../http/listener.ts'
import type { BundleFetches } from '../http/metrics.ts'
import { bundleHeaders, cacheControlOf } from './known-urls.ts'
import {
  chooseRepresentation,
  heldRepresentation,
  type Representation,
  type ServedBundle,
} from './representation.ts'

/** A bundle that is to be answered with. */
export interface BundleAnswer {
  readonly bundle: ServedBundle
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** Whether the URL names who reads: then no shared cache may keep the answer. */
  readonly isReaderUrl: boolean
  readonly fetches: BundleFetches
}

/** Answers with a bundle in the encoding that the client takes, or 304 to the entity tag that it has (FE-11). */
export function answerBundle(given: BundleAnswer): FastifyReply {
  const { bundle, request, reply, isReaderUrl, fetches } = given
  const { 'if-none-match': ifNoneMatch, 'accept-encoding': acceptEncoding } = request.headers
  const held = heldRepresentation(bundle, ifNoneMatch)
  const chosen = held ?? chooseRepresentation(bundle, acceptEncoding)
  const cacheControl = cacheControlOf(bundle, isReaderUrl)
  reply.headers(bundleHeaders(chosen.etag, { cacheControl, host: request.hostname }))
  fetches[held === undefined ? 200 : 304] += 1
  if (held !== undefined) return reply.code(304).send()
  return sendBody(reply, chosen)
}

function sendBody(reply: FastifyReply, chosen: Representation): FastifyReply {
  reply.header('content-type', 'application/json')
  if (chosen.encoding !== undefined) reply.header('content-encoding', chosen.encoding)
  return reply.code(200).send(chosen.body)
}

/** Calls `count` once the whole answer went out, 200 or 304. */
export function countWhenComplete({ raw }: FastifyReply, count: () => void): void {
  raw.once('finish', () => {
    if ((raw.statusCode === 200 || raw.statusCode === 304) && !raw.destroyed) count()
  })
}

const OTHER_METHODS = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** Refuses everything but GET and HEAD at a bundle's URL, before a body is read. */
export function refuseOtherMethods(app: App, url: string): void {
  app.route({
    method: [...OTHER_METHODS],
    url,
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

/** The refusal at an address where no bundle is, whoever asks and whatever is behind it. */
export function noBundleHere(): ServiceError {
  return new ServiceError('NOT_FOUND', 'no bundle is published at this address')
}
