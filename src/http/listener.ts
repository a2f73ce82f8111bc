import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TlsOptions } from 'node:tls'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifySchemaCompiler,
  LogController,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
  fastify,
} from 'fastify'
import { translateDatabaseFailure } from '../db/failures.ts'
import { type ErrorCode, ServiceError, messageOf } from '../errors.ts'
import { Connections, limitStreams } from './connections.ts'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'
import { problemOf } from './problem.ts'

/** A Fastify instance whose routes are typed by their TypeBox schemas. */
export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** The four listeners of the service. */
export type ListenerName = 'federation' | 'workload' | 'admin' | 'telemetry'

/** What a listener needs. */
export interface AppOptions {
  readonly name: ListenerName
  readonly log: Logger
  readonly metrics: Metrics
  /** TLS settings; absent = plain HTTP. */
  readonly tls?: TlsOptions
  /** Also speak HTTP/2 on the TLS listener. */
  readonly http2?: boolean
  /** Connections at once; more are refused. Default 4096. */
  readonly maxConnections?: number
  /** Asked first; answers the request itself and tells so, or leaves it to the routes. */
  readonly first?: (request: IncomingMessage, response: ServerResponse) => boolean
}

/** Bytes of a request body, unless a route sets its own limit. */
const BODY_LIMIT_BYTES = 256 * 1024
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_TIMEOUT_MS = 65_000
/** From the first byte of an HTTP/2 request to the last byte of its answer. */
const STREAM_TIMEOUT_MS = 60_000
/** Of successful bundle fetches, one in this many is logged; all are counted (one log line each costs 45 %). */
const SAMPLE = 1000

/**
 * A listener with the limits of the house: header, request and keep-alive timeouts, a connection limit, strict
 * validation (nothing coerced in bodies, unknown fields refused), problem+json for every error, one log line a
 * request (bundle fetches sampled).
 */
export function createApp(options: AppOptions): App {
  const shared = {
    loggerInstance: options.log.child({}, { level: 'warn' }) as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    connectionTimeout: 0,
    forceCloseConnections: 'idle' as const,
    return503OnClosing: true,
    routerOptions: { caseSensitive: true, maxParamLength: 300 },
  }
  const app = build(options, shared)
  limitServer(app, options)
  if (options.first !== undefined) askFirst(app, options.first)
  app.setValidatorCompiler(strictValidator())
  app.setErrorHandler(async (error, request, reply) =>
    answerError(options.log, { error, request, reply }),
  )
  app.setNotFoundHandler(async () => {
    throw new ServiceError('NOT_FOUND', 'there is nothing at this path')
  })
  app.addHook('preHandler', async (request) => refuseUnstorable(request))
  app.addHook('onResponse', async (request, reply) => observe(options, request, reply))
  return app
}

function build(options: AppOptions, shared: object): App {
  if (options.tls === undefined) return fastify(shared)
  const https = { ...options.tls, allowHTTP1: true }
  const tls: object = options.http2 === true ? { http2: true, https } : { https: options.tls }
  return fastify({ ...shared, ...tls })
}

function askFirst(app: App, first: NonNullable<AppOptions['first']>): void {
  const routes = app.server.listeners('request')
  app.server.removeAllListeners('request')
  app.server.on('request', (request, response) => {
    if (first(request, response)) return
    for (const route of routes) route.call(app.server, request, response)
  })
}

function limitServer(app: App, options: AppOptions): void {
  app.server.headersTimeout = HEADERS_TIMEOUT_MS
  // Fastify sets it on servers of HTTP/1.1 alone; those of HTTP/2 speak that too.
  app.server.requestTimeout = REQUEST_TIMEOUT_MS
  if (options.http2 === true) limitStreams(app.server, STREAM_TIMEOUT_MS)
  app.server.maxConnections = options.maxConnections ?? 4096
  app.server.on('tlsClientError', () => undefined)
  const connections = new Connections(app.server)
  app.addHook('preClose', async () => connections.end())
}

/** Bodies are taken as they are; query, path and header values are text and become what the schema says. */
function strictValidator(): FastifySchemaCompiler<object> {
  const settings = {
    removeAdditional: false,
    useDefaults: true,
    allErrors: true,
    strict: false,
  } as const
  const body = new Ajv({ ...settings, coerceTypes: false })
  const text = new Ajv({ ...settings, coerceTypes: 'array' })
  for (const ajv of [body, text]) addFormats.default(ajv)
  return ({ schema, httpPart }) => (httpPart === 'body' ? body : text).compile(schema)
}

/** No text of ours holds a NUL or half of a character, and the database cannot store one or even look for it. */
function refuseUnstorable({ params, query, body }: FastifyRequest): void {
  if (![params, query, body].some(isUnstorable)) return
  throw new ServiceError(
    'INVALID_REQUEST',
    'a value holds a NUL character, or half of a character, which nothing here may',
  )
}

function isUnstorable(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0') || !value.isWellFormed()
  return typeof value === 'object' && value !== null && Object.values(value).some(isUnstorable)
}

interface Failure {
  readonly error: unknown
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

async function answerError(log: Logger, failure: Failure): Promise<FastifyReply> {
  const { request, reply } = failure
  const error = toServiceError(failure.error)
  const problem = problemOf(error, `urn:uuid:${request.id}`)
  if (problem.status >= 500) logFailure(log, error, request)
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds)
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer')
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .serializer((payload: unknown) => JSON.stringify(payload))
    .send(problem)
}

function logFailure(log: Logger, error: ServiceError, request: FastifyRequest): void {
  const cause = error.cause
  log.error(
    {
      event: 'request.failed',
      requestId: request.id,
      method: request.method,
      route: request.routeOptions.url,
      code: error.code,
      error: error.message,
      ...(cause === undefined ? {} : { cause: messageOf(cause) }),
      ...(error.code === 'INTERNAL' && cause instanceof Error ? { stack: cause.stack } : {}),
    },
    'request failed',
  )
}

/** Codes of Fastify's own refusals, as ours. */
const FASTIFY_CODES: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'MEDIA_TYPE_UNSUPPORTED',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'INVALID_REQUEST',
  FST_ERR_CTP_INVALID_JSON_BODY: 'INVALID_REQUEST',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'INVALID_REQUEST',
  FST_ERR_BAD_URL: 'INVALID_REQUEST',
  FST_ERR_MAX_PARAM_LENGTH: 'INVALID_REQUEST',
}

/** Anything thrown, as an error that can be answered; what we do not know is INTERNAL with the cause kept. */
export function toServiceError(thrown: unknown): ServiceError {
  const translated = translateDatabaseFailure(thrown)
  if (translated instanceof ServiceError) return translated
  if (isFastifyError(thrown)) {
    if (thrown.validation !== undefined) return validationError(thrown)
    const code = FASTIFY_CODES[thrown.code]
    if (code !== undefined)
      return new ServiceError(code, lowerFirst(thrown.message), { cause: thrown })
    if (thrown.statusCode === 400) {
      return new ServiceError('INVALID_REQUEST', lowerFirst(thrown.message), { cause: thrown })
    }
  }
  return new ServiceError('INTERNAL', messageOf(thrown), { cause: thrown })
}

function isFastifyError(thrown: unknown): thrown is FastifyError {
  return thrown instanceof Error && ('statusCode' in thrown || 'validation' in thrown)
}

function validationError(error: FastifyError): ServiceError {
  const context = error.validationContext ?? 'body'
  const fields = (error.validation ?? []).map((found) => ({
    in: context,
    pointer: `${found.instancePath}${missingOrExtra(found.params)}`,
    detail: faultText(found),
  }))
  const first = fields[0]
  const where = first === undefined || first.pointer === '' ? context : first.pointer
  return new ServiceError(
    'INVALID_REQUEST',
    `${context} is not valid: ${where} ${first?.detail ?? ''}`.trim(),
    {
      fields,
    },
  )
}

function faultText({
  keyword,
  message,
}: {
  readonly keyword?: string
  readonly message?: string
}): string {
  if (keyword === 'additionalProperties')
    return 'is not known; /docs of the admin API lists what is'
  return message ?? 'is not valid'
}

function missingOrExtra(params: Record<string, unknown>): string {
  const name = params['missingProperty'] ?? params['additionalProperty']
  return typeof name === 'string' ? `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` : ''
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

let fetched = 0

function observe(options: AppOptions, request: FastifyRequest, reply: FastifyReply): void {
  const route = request.routeOptions.url ?? 'none'
  const { name, metrics } = options
  const bundleFetch = name === 'federation' && reply.statusCode < 400
  if (!bundleFetch)
    metrics.requests.inc({ listener: name, route, status: String(reply.statusCode) })
  if (!bundleFetch) metrics.requestSeconds.observe({ listener: name }, reply.elapsedTime / 1000)
  if (bundleFetch) fetched += 1
  if (name === 'telemetry' || (bundleFetch && fetched % SAMPLE !== 1)) return
  options.log.info(
    {
      event: 'request.answered',
      listener: name,
      requestId: request.id,
      method: request.method,
      route,
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime),
      ...(bundleFetch ? { sampled: SAMPLE } : {}),
    },
    'request answered',
  )
}
