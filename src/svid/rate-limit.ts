import { type Clock } from '../clock.ts'
import { Buckets, type BucketsOptions, networkOf, type Rate } from '../http/token-buckets.ts'

/** How much workloads may ask of all replicas together. */
export interface RateLimits {
  /** Of the service as a whole. */
  readonly perService: Rate
  /** Of one mesh: whatever its workloads do, the others have the rest. */
  readonly perMesh: Rate
  /** Of one entry: many workloads may share it. */
  readonly perEntry: Rate
  /** From one address (of IPv6: one /64) by join token, before we know who asks. */
  readonly perSource: Rate
}

/** Far above what healthy workloads ask for; they stop a loop gone wrong from starving the others. */
const SERVICE: Rate = { perSecond: 5000, burst: 10_000 }
const ENTRY: Rate = { perSecond: 200, burst: 2000 }
const SOURCE: Rate = { perSecond: 20, burst: 200 }

/**
 * The limits with so many requests a second for one mesh, and two seconds' worth at once as for the whole service.
 *
 * The default of the setting, 2500, is half of what all have, so that one mesh at its limit leaves the other half.
 * A hundred thousand workloads with SVIDs of an hour renew 56 of them a second, and with a JWT-SVID each five minutes
 * ask 670 times more.
 */
export function rateLimits(meshPerSecond: number): RateLimits {
  const perMesh = { perSecond: meshPerSecond, burst: 2 * meshPerSecond }
  return { perService: SERVICE, perMesh, perEntry: ENTRY, perSource: SOURCE }
}

/** The limits that hold unless the operator sets others. */
export const DEFAULT_RATE_LIMITS: RateLimits = rateLimits(SERVICE.perSecond / 2)

/** Which limit somebody met; a label of the metrics. */
export type MetLimit = 'source' | 'identity' | 'mesh' | 'service'

/** What {@link RateLimiter} needs. */
export interface RateLimiterOptions {
  readonly clock: Clock
  readonly limits?: RateLimits
  /** Living replicas, among which the rates are divided; default one. */
  readonly replicas?: () => number
  /** Counts refusals. */
  readonly onRefused?: (limit: MetLimit) => void
}

/** A workload that has an SVID. */
export interface KnownWorkload {
  readonly meshId: string
  readonly spiffeId: string
}

/** Part of a mesh's and of the service's bucket that is kept for workloads that live off their SVIDs. */
const KEPT_FOR_RENEWALS = 0.5

/**
 * Token buckets in memory: nothing shared is written on the issuing path.
 *
 * Renewals and JWT-SVIDs may empty the buckets of their mesh and of the service; first SVIDs and questions leave half
 * of each, so a wave of new workloads never keeps those that exist from renewing. Each call throws RATE_LIMITED with
 * the seconds to wait.
 */
export class RateLimiter {
  // One for each kind: whoever asks from very many addresses must not push out, and so refill, what counts others.
  readonly #strangers: Buckets
  readonly #sources: Buckets
  readonly #entries: Buckets
  readonly #meshes: Buckets
  readonly #service: Buckets

  constructor(options: RateLimiterOptions) {
    const { perService, perMesh, perEntry, perSource } = options.limits ?? DEFAULT_RATE_LIMITS
    const { clock } = options
    this.#strangers = new Buckets(clock, perService, optionsFor('service', options))
    this.#sources = new Buckets(clock, perSource, optionsFor('source', options))
    this.#entries = new Buckets(clock, perEntry, optionsFor('identity', options))
    this.#meshes = new Buckets(clock, perMesh, optionsFor('mesh', options))
    this.#service = new Buckets(clock, perService, optionsFor('service', options))
  }

  // In all of them first what is theirs: one who is over it must not use up what all others share.

  /** Counts a request of somebody unknown, before anything of it is looked at. */
  takeForSource(source: string): void {
    this.#sources.take(networkOf(source))
    this.#strangers.take('all')
  }

  /** Counts a first SVID in this mesh, once its evidence is known to be good. */
  takeForFirst(meshId: string): void {
    this.#meshes.take(meshId, KEPT_FOR_RENEWALS)
    this.#service.take('all', KEPT_FOR_RENEWALS)
  }

  /** Counts an SVID for a workload that has one. */
  takeForRenewal({ meshId, spiffeId }: KnownWorkload): void {
    this.#entries.take(spiffeId)
    this.#meshes.take(meshId)
    this.#service.take('all')
  }

  /** Counts a question, such as for bundles, of a workload that has an SVID. */
  takeForQuestion({ meshId, spiffeId }: KnownWorkload): void {
    this.#entries.take(spiffeId)
    this.#meshes.take(meshId, KEPT_FOR_RENEWALS)
    this.#service.take('all', KEPT_FOR_RENEWALS)
  }
}

const WHOSE: Readonly<Record<MetLimit, string>> = {
  source: 'your address',
  identity: 'this identity',
  mesh: 'this mesh',
  service: 'this service',
}

function optionsFor(limit: MetLimit, { replicas, onRefused }: RateLimiterOptions): BucketsOptions {
  return {
    message: `too many requests by ${WHOSE[limit]}`,
    ...(replicas === undefined ? {} : { replicas }),
    ...(onRefused === undefined ? {} : { onRefused: () => onRefused(limit) }),
  }
}
