import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { canonicalJson } from '../audit/canonical-json.ts'
import { addSeconds } from '../clock.ts'
import { newId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { DbClock } from '../db/time.ts'
import { messageOf, ServiceError } from '../errors.ts'
import type { App } from '../http/listener.ts'
import * as store from './idempotency-store.ts'
import { reachOf } from './owner-scope.ts'

/** Seconds for which an answer is kept and repeated: a day. */
export const ANSWER_KEPT_SECONDS = 86_400

/** Seconds after which a request that never finished is taken for crashed; no handler runs that long. */
export const CRASHED_AFTER_SECONDS = 60

const HEADER = 'idempotency-key'
/** Headers of an answer that are kept with it. */
const KEPT_HEADERS = ['content-type', 'etag', 'location', 'cache-control']

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The answer shows a secret once: of it only the object's place is kept for a repeated request. */
    secretAnswer?: boolean
  }
  interface FastifyRequest {
    /** The hold of this request on its `Idempotency-Key`, until its answer is kept. */
    idempotency: store.Claim | undefined
  }
}

/** What idempotency needs. */
export interface IdempotencyOptions {
  readonly db: Db
  readonly now: DbClock
  readonly log: { warn(fields: object, message: string): void }
}

/**
 * Lets every POST of this scope carry an `Idempotency-Key`: the same request again gets the same answer, marked
 * `Idempotency-Replayed: true`, and is not done again.
 *
 * A key belongs to a principal, a method and a route. The row is made before the handler runs, so of requests at
 * once exactly one is handled and the others are refused with IDEMPOTENCY_KEY_IN_USE; another request under a known
 * key, or the same one when the grants behind it changed, is IDEMPOTENCY_KEY_REUSED: an answer is never repeated to
 * rights that did not get it. The repetition of one whose answer showed a secret is SECRET_SHOWN_ONCE. Dry runs and
 * answers of 403, 409, 412, 429 and from 500 on are not kept. Call it after the access hook and before the routes are
 * registered.
 */
export function addIdempotency(app: App, options: IdempotencyOptions): void {
  app.decorateRequest('idempotency')
  app.addHook('onRoute', describeHeader)
  app.addHook('preHandler', async (request, reply) => {
    const claim = claimOf(request)
    if (claim === undefined) return undefined
    const known = await claimOrFind(options, claim)
    if (known !== undefined) return replay(known, claim, reply)
    request.idempotency = claim
    return undefined
  })
  app.addHook('onSend', async (request, reply, payload) => {
    const claim = request.idempotency
    if (claim === undefined) return
    request.idempotency = undefined
    await keep(options, claim, answerOf(request, reply, payload))
  })
}

/** Forgets answers that were kept for a day; answers how many. */
export async function pruneIdempotencyKeys(db: Db, now: Date): Promise<number> {
  return store.deleteOldKeys(db, addSeconds(now, -ANSWER_KEPT_SECONDS))
}

/** The header as the API describes it, on every POST. */
const KeyHeader = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  pattern: '^[!-~]*$',
  description:
    'a value of your own for this request; sent again with it within 24 hours, the request gets the same answer (Idempotency-Replayed: true) and is not done again. One that is still being handled is 409 with Retry-After, another request under the same value 422, also when what your token may do here changed since, and of an answer that showed a secret only the place of the object is repeated (409). Dry runs and answers of 403, 409, 412, 429 and from 500 on are not kept',
}

/** In lower case, as Node hands headers to our validator. */
function describeHeader(route: RouteOptions): void {
  if (route.method !== 'POST') return
  const headers = { type: 'object', properties: { [HEADER]: KeyHeader } }
  route.schema = { ...route.schema, headers }
}

function claimOf(request: FastifyRequest): store.Claim | undefined {
  const key = request.headers[HEADER]
  const { method, principal, routeOptions, query, params, body, url } = request
  if (method !== 'POST' || typeof key !== 'string' || routeOptions.url === undefined)
    return undefined
  if ((query as { readonly dryRun?: boolean }).dryRun === true) return undefined
  const { action } = routeOptions.config
  const { meshId } = params as { readonly meshId?: string }
  const reach = action === undefined ? [] : reachOf(principal, action, meshId)
  const hash = createHash('sha256').update(`${method}\n${url}\n${canonicalJson(reach)}\n`)
  return {
    scope: { principal: principal.tokenId, method, route: routeOptions.url, key },
    fingerprint: hash.update(canonicalJson(body ?? null)).digest(),
    id: newId(),
  }
}

/** Takes the key, or tells who has it; undefined when it is taken. */
async function claimOrFind(
  { db, now }: IdempotencyOptions,
  claim: store.Claim,
): Promise<store.KnownKey | undefined> {
  for (;;) {
    const at = await now(db)
    const limits = {
      now: at,
      crashedBefore: addSeconds(at, -CRASHED_AFTER_SECONDS),
      keptSince: addSeconds(at, -ANSWER_KEPT_SECONDS),
    }
    if (await store.claimKey(db, claim, limits)) return undefined
    const known = await store.findKey(db, claim.scope)
    // A key given back between the two statements is free again.
    if (known !== undefined) return known
  }
}

function replay(
  { fingerprint, answer }: store.KnownKey,
  claim: store.Claim,
  reply: FastifyReply,
): FastifyReply {
  if (!Buffer.from(fingerprint).equals(claim.fingerprint)) throw reused()
  if (answer === undefined) throw inUse()
  if (answer.secretOf !== undefined) {
    reply.header('idempotency-replayed', 'true')
    throw shownOnce(answer.secretOf)
  }
  return reply
    .code(answer.status)
    .headers({ ...answer.headers, 'idempotency-replayed': 'true' })
    .send(answer.body ?? '')
}

/** Refusals that the next try may not meet: a missing grant, a conflict, a version that passed on, a rate. */
const TRANSIENT: ReadonlySet<number> = new Set([403, 409, 412, 429])

/** The answer as it is kept; undefined for one that is not. */
function answerOf(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): store.KeptAnswer | undefined {
  const status = reply.statusCode
  const isTransient = status >= 500 || TRANSIENT.has(status)
  if (isTransient || (typeof payload !== 'string' && payload !== undefined)) return undefined
  const headers = Object.fromEntries(
    KEPT_HEADERS.flatMap((name) => {
      const value = reply.getHeader(name)
      return value === undefined ? [] : [[name, String(value)]]
    }),
  )
  if (request.routeOptions.config.secretAnswer !== true || status >= 300) {
    return { status, headers, body: payload, secretOf: undefined }
  }
  return { status, headers: {}, body: undefined, secretOf: placeOf(headers, payload) }
}

/** Where the object of a secret answer can be looked at: its Location, else its id. */
function placeOf(headers: Readonly<Record<string, string>>, payload: string | undefined): string {
  const { location } = headers
  if (location !== undefined) return location
  const { id } = JSON.parse(payload ?? '{}') as { readonly id?: unknown }
  return typeof id === 'string' ? id : 'unknown'
}

/** A failure to keep the answer must not turn what was done into a failure; the claim then ends by itself. */
async function keep(
  { db, log }: IdempotencyOptions,
  claim: store.Claim,
  answer: store.KeptAnswer | undefined,
): Promise<void> {
  try {
    if (answer === undefined) await store.releaseKey(db, claim)
    else await store.keepAnswer(db, claim, answer)
  } catch (error) {
    const fields = { event: 'idempotency.not-kept', error: messageOf(error) }
    log.warn({ ...fields, route: claim.scope.route }, 'the answer to a request was not kept')
  }
}

function reused(): ServiceError {
  return new ServiceError(
    'IDEMPOTENCY_KEY_REUSED',
    'this Idempotency-Key was sent with another request (path, query or body differ), or what this token may do here changed since',
    { next: 'send the first request again as it was, or this one under a new key' },
  )
}

function inUse(): ServiceError {
  return new ServiceError(
    'IDEMPOTENCY_KEY_IN_USE',
    'the first request with this Idempotency-Key is still being handled',
    { retryAfterSeconds: 1, next: 'send it again in a moment; it then gets the same answer' },
  )
}

function shownOnce(place: string): ServiceError {
  return new ServiceError(
    'SECRET_SHOWN_ONCE',
    `this request was done: it made ${place}, and the secret was shown once, in the first answer`,
    {
      next: `if that answer was lost, delete ${place} and make another under a new Idempotency-Key`,
    },
  )
}
