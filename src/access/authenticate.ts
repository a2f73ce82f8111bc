import type { Clock } from '../clock.ts'
import type { Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import { Buckets } from '../http/token-buckets.ts'
import { type Principal, principalOf } from './principal.ts'
import { findGrants } from './grant-store.ts'
import { type StoredToken, findTokenByHash } from './store.ts'
import { Throttle } from './throttle.ts'
import { hashToken, isSameHash, isToken } from './token.ts'

/** The credentials of a request, and where it came from. */
export interface Login {
  readonly authorization: string | undefined
  /** How many `Authorization` headers there were. */
  readonly count: number
  readonly source: string
  /** The same request once more: it was counted and is only looked at again. */
  readonly isAgain?: boolean
}

/** What an {@link Authenticator} needs. */
export interface AuthenticatorOptions {
  readonly db: Db
  readonly clock: Clock
  readonly log: { warn(fields: object, message: string): void }
  readonly onRefused?: (reason: string) => void
  /** Calls that one token may make a second, and ten times as many at once; default {@link CALLS_PER_SECOND}. */
  readonly callsPerSecond?: number | undefined
  /** Counts requests that were refused because their token asks too often. */
  readonly onLimited?: () => void
}

/**
 * Calls of one token a second that one process answers: twice what a kubelet may ask of its API server (kubeAPIQPS 50,
 * Kubernetes' KubeletConfiguration v1beta1). The thousand at once are `apply` of a file with some three hundred new
 * objects, each read, tried and made, without a pause.
 */
export const CALLS_PER_SECOND = 100

const WANTED = 'Authorization: Bearer entente_…'
const NEXT =
  'send a token from: entente api-token create; a lost admin token is replaced by: entente admin-token reset'
const BEARER = /^bearer +([^\s,]+)$/i
/** Tokens that worked are still looked at for an hour while their source is throttled. */
const TRUSTED_MS = 3_600_000
const MAX_TRUSTED = 1000

/**
 * Finds out who asks by the bearer token, asking the database each time, so that a revoked token ends at once.
 *
 * What one token asks too often is refused before the database is asked, so it costs the others nothing. A source with
 * many failures has to wait, except with a token that worked from here in the last hour: nobody behind the same proxy
 * can lock an administrator out.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #throttle: Throttle
  /** By the hash of the token: a principal is a token. */
  readonly #calls: Buckets
  readonly #trusted = new Map<string, number>()

  constructor(options: AuthenticatorOptions) {
    this.#options = options
    this.#throttle = new Throttle(options.clock)
    this.#calls = callsOf(options)
  }

  /** The principal behind a request; throws AUTHENTICATION_REQUIRED, or RATE_LIMITED after many failures or calls. */
  async authenticate(login: Login): Promise<Principal> {
    const token = bearerOf(login)
    const hash = token === undefined || !isToken(token) ? undefined : hashToken(token)
    if (login.authorization !== undefined) this.#assertMayTry(login.source, hash)
    if (hash === undefined) throw this.#refuse(login, malformed(login))
    if (login.isAgain !== true) this.#calls.take(keyOf(hash))
    const { db, clock } = this.#options
    const found = await findTokenByHash(db, hash)
    const refusal = refusalOf(found, hash, clock.now())
    if (found === undefined || refusal !== undefined) {
      this.#trusted.delete(keyOf(hash))
      throw this.#refuse(login, refusal ?? 'unknown')
    }
    this.#trust(hash)
    return principalOf(found, await findGrants(db, found.id))
  }

  #assertMayTry(source: string, hash: Uint8Array | undefined): void {
    const wait = this.#throttle.waitSeconds(source)
    if (wait === 0 || (hash !== undefined && this.#isTrusted(hash))) return
    throw new ServiceError(
      'RATE_LIMITED',
      `too many failed logins from this address; the next is looked at in ${wait} s`,
      { retryAfterSeconds: wait },
    )
  }

  #isTrusted(hash: Uint8Array): boolean {
    const at = this.#trusted.get(keyOf(hash))
    return at !== undefined && this.#options.clock.monotonicMs() - at < TRUSTED_MS
  }

  #trust(hash: Uint8Array): void {
    const key = keyOf(hash)
    this.#trusted.delete(key)
    const oldest = this.#trusted.keys().next()
    if (this.#trusted.size >= MAX_TRUSTED && oldest.done !== true) {
      this.#trusted.delete(oldest.value)
    }
    this.#trusted.set(key, this.#options.clock.monotonicMs())
  }

  /** A request without any token is no attempt: it is counted in the metrics and otherwise left alone. */
  #refuse({ source }: Login, reason: RefusalReason): ServiceError {
    this.#options.onRefused?.(reason)
    if (reason !== 'absent') this.#note(source, reason)
    return new ServiceError('AUTHENTICATION_REQUIRED', REFUSALS[reason], { next: NEXT })
  }

  #note(source: string, reason: RefusalReason): void {
    const { log } = this.#options
    log.warn({ event: 'login.refused', remoteAddress: source, reason }, 'login refused')
    if (!this.#throttle.failed(source)) return
    log.warn({ event: 'login.throttled', remoteAddress: source }, 'logins throttled')
  }
}

function callsOf({ clock, callsPerSecond = CALLS_PER_SECOND, onLimited }: AuthenticatorOptions) {
  const rate = { perSecond: callsPerSecond, burst: 10 * callsPerSecond }
  return new Buckets(clock, rate, {
    message: `too many calls with this token: more than ${callsPerSecond} a second and ${rate.burst} at once`,
    next: 'wait as long as Retry-After says; the operator can raise ENTENTE_ADMIN_CALLS_PER_SECOND',
    ...(onLimited === undefined ? {} : { onRefused: onLimited }),
  })
}

/** Why a login can be refused, and what its sender is told; never more than the sender knows already. */
const REFUSALS = {
  absent: `this needs a token; wanted the header ${WANTED}`,
  doubled: `there is more than one Authorization header; wanted one ${WANTED}`,
  scheme: `the Authorization header has another scheme; wanted ${WANTED}`,
  malformed: `the token is not one of ours or was cut or mistyped; wanted ${WANTED}`,
  unknown: 'this service does not know the token',
  revoked: 'the token was revoked',
  expired: 'the token has expired',
} as const

type RefusalReason = keyof typeof REFUSALS

function bearerOf({ authorization, count }: Login): string | undefined {
  if (authorization === undefined || count > 1) return undefined
  return BEARER.exec(authorization)?.[1]
}

function malformed({ authorization, count }: Login): RefusalReason {
  if (authorization === undefined) return 'absent'
  if (count > 1) return 'doubled'
  return BEARER.test(authorization) ? 'malformed' : 'scheme'
}

function refusalOf(
  found: StoredToken | undefined,
  hash: Uint8Array,
  now: Date,
): RefusalReason | undefined {
  if (found === undefined || !isSameHash(found.hash, hash)) return 'unknown'
  if (found.revokedAt !== undefined) return 'revoked'
  return found.expiresAt !== undefined && found.expiresAt <= now ? 'expired' : undefined
}

function keyOf(hash: Uint8Array): string {
  return Buffer.from(hash).toString('base64')
}
