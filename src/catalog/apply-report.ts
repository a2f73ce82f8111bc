import { isForeignKeyViolation } from '../db/failures.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import { loadTopology } from '../mesh/topology/find-topology.ts'
import {
  DEFAULT_TTL_SECONDS,
  type EndpointDraft,
  endpointKey,
  MAX_ENDPOINTS,
  type ReadReport,
  readReport,
  type ReportItem,
  type Skipped,
} from './report.ts'
import * as store from './reporter-store.ts'
import { type ServiceName, serviceTitle } from './service.ts'
import { servicesNamed } from './store.ts'

export { type ReporterKey } from './reporter-store.ts'

/** Who reports, and when by the database's clock. */
export interface Reporting extends store.ReporterKey {
  readonly now: Date
}

/** Everything that a reporter sees. */
export interface FullReport {
  readonly reporting: Reporting
  readonly endpoints: readonly ReportItem[]
  readonly ttlSeconds?: number | undefined
  /** Takes a list that is less than half of the one in use. */
  readonly intentional?: boolean | undefined
}

/** What changed since the report that a reporter had accepted last. */
export interface DeltaReport {
  readonly reporting: Reporting
  /** The revision that the last accepted report was answered with. */
  readonly afterRevision: bigint
  readonly upserts: readonly ReportItem[]
  readonly removals: readonly store.EndpointName[]
}

/** What an accepted report did. */
export interface ReportOutcome {
  readonly revision: bigint
  readonly ttlSeconds: number
  readonly freshUntil: Date
  /** Endpoints of this reporter from now on. */
  readonly endpoints: number
  readonly changed: number
  readonly removed: number
  readonly skipped: readonly Skipped[]
}

/** Lists shorter than this may shrink to anything without saying so. */
const NON_TRIVIAL = 10

/**
 * Takes a whole list over the one before, in the caller's transaction: what is not in it goes.
 *
 * A list of less than half of one that is in use is more likely a mistake than the truth, and is taken only when the
 * reporter says that it is meant (REPORT_SHRINKS). Throws REPORT_INVALID, CONFLICT.
 */
export async function applyFull(
  trx: Db,
  meshId: MeshId,
  { reporting, endpoints: items, ttlSeconds, intentional }: FullReport,
): Promise<ReportOutcome> {
  const { now } = reporting
  const state = await store.claimReporter(trx, meshId, reporting)
  const catalogRevision = await store.readCatalogRevision(trx, meshId)
  const read = await readAgainst(trx, meshId, { reporting, items })
  const before = await store.endpointsOfReporter(trx, meshId, reporting)
  if (isFresh(state, now) && intentional !== true) {
    checkShrinking(before.size, read.endpoints.length)
  }
  const names = new Set(read.endpoints.map(endpointKey))
  const removed = [...before].filter(([key]) => !names.has(key)).map(([, endpoint]) => endpoint)
  const next: store.ReporterState = {
    revision: state.revision + 1n,
    ttlSeconds: ttlSeconds ?? DEFAULT_TTL_SECONDS,
    catalogRevision,
    seenAt: now,
  }
  return write(trx, meshId, { reporting, next, before, read, removed })
}

/**
 * Takes what changed since the revision that the reporter names, in the caller's transaction.
 *
 * Throws REPORT_OUTDATED when another revision is in force, REPORT_INVALID, CONFLICT.
 */
export async function applyDelta(
  trx: Db,
  meshId: MeshId,
  { reporting, afterRevision, upserts: items, removals }: DeltaReport,
): Promise<ReportOutcome> {
  const state = await store.lockReporter(trx, meshId, reporting)
  if (state?.revision !== afterRevision) throw outdated(afterRevision, state?.revision)
  const read = await readAgainst(trx, meshId, { reporting, items })
  const before = await store.endpointsOfReporter(trx, meshId, reporting)
  const names = new Set(read.endpoints.map(endpointKey))
  // Each once, however often it is named: what is left is counted.
  const removed = [...new Set(removals.map(endpointKey))].flatMap((key) =>
    names.has(key) ? [] : (before.get(key) ?? []),
  )
  const next = { ...state, revision: state.revision + 1n, seenAt: reporting.now }
  return write(trx, meshId, { reporting, next, before, read, removed })
}

/** What a reporter is told when it says that it lives. */
export interface HeartbeatOutcome {
  readonly revision: bigint
  readonly freshUntil: Date
  /** Whether a full report may tell more: services came or changed since the last one. */
  readonly wantsFull: boolean
}

/** Keeps everything that a reporter reported fresh; undefined before its first report. */
export async function heartbeat(
  trx: Db,
  meshId: MeshId,
  reporting: Reporting,
): Promise<HeartbeatOutcome | undefined> {
  const state = await store.touchReporter(trx, meshId, reporting)
  if (state === undefined) return undefined
  const wantsFull = await store.isServiceNewerThan(trx, meshId, state.catalogRevision)
  return { revision: state.revision, freshUntil: freshUntil(state), wantsFull }
}

interface Change {
  readonly reporting: Reporting
  readonly next: store.ReporterState
  readonly before: ReadonlyMap<string, EndpointDraft>
  readonly read: ReadReport
  readonly removed: readonly store.EndpointName[]
}

async function write(trx: Db, meshId: MeshId, change: Change): Promise<ReportOutcome> {
  const { reporting, next, before, read, removed } = change
  const changed = read.endpoints.filter((one) => {
    const known = before.get(endpointKey(one))
    return known === undefined || !isSame(known, one)
  })
  const added = changed.filter((one) => !before.has(endpointKey(one))).length
  const endpoints = before.size - removed.length + added
  if (endpoints > MAX_ENDPOINTS) throw tooMany(endpoints)
  await store.saveReporter(trx, meshId, { ...reporting, state: next })
  await store.deleteEndpoints(trx, meshId, { ...reporting, names: removed.map(nameOf) })
  try {
    await store.upsertEndpoints(trx, meshId, { ...reporting, endpoints: changed })
  } catch (cause) {
    throw isForeignKeyViolation(cause) ? goneMeanwhile(cause) : cause
  }
  return {
    revision: next.revision,
    ttlSeconds: next.ttlSeconds,
    freshUntil: freshUntil(next),
    endpoints,
    changed: changed.length,
    removed: removed.length,
    skipped: read.skipped,
  }
}

async function readAgainst(
  trx: Db,
  meshId: MeshId,
  { reporting, items }: { readonly reporting: Reporting; readonly items: readonly ReportItem[] },
): Promise<ReadReport> {
  const { cluster } = reporting
  const { clusters } = await loadTopology(trx, meshId)
  const networks = clusters.get(cluster)?.networks ?? []
  const named = new Map<string, ServiceName>()
  for (const { namespace, service } of items) {
    const name = { namespace, name: service }
    named.set(serviceTitle(name), name)
  }
  const services = await servicesNamed(trx, meshId, [...named.values()])
  return readReport(items, { cluster, networks, services })
}

function isFresh(state: store.ReporterState, now: Date): boolean {
  return freshUntil(state) >= now
}

function freshUntil({ seenAt, ttlSeconds }: store.ReporterState): Date {
  return new Date(seenAt.getTime() + ttlSeconds * 1000)
}

function checkShrinking(before: number, after: number): void {
  if (before < NON_TRIVIAL || after * 2 >= before) return
  throw new ServiceError(
    'REPORT_SHRINKS',
    `the report has ${after} endpoints of services that the mesh has, the one in use ${before}`,
    { next: 'send it again with "intentional": true if so many are really gone' },
  )
}

function isSame(a: EndpointDraft, b: EndpointDraft): boolean {
  return (
    a.address === b.address &&
    a.network === b.network &&
    a.portName === b.portName &&
    a.region === b.region &&
    a.zone === b.zone &&
    a.subzone === b.subzone &&
    a.weight === b.weight &&
    a.isHealthy === b.isHealthy
  )
}

function nameOf({ namespace, service, workloadUid, port }: store.EndpointName): store.EndpointName {
  return { namespace, service, workloadUid, port }
}

function outdated(wanted: bigint, found: bigint | undefined): ServiceError {
  const is = found === undefined ? 'none was accepted yet' : `the last accepted is ${found}`
  return new ServiceError('REPORT_OUTDATED', `the change is on report ${wanted}, but ${is}`, {
    next: 'send everything: PUT /v1/reports/endpoints',
  })
}

function tooMany(count: number): ServiceError {
  return new ServiceError(
    'REPORT_INVALID',
    `there would be ${count} endpoints of this reporter, at most ${MAX_ENDPOINTS} are kept`,
    { next: 'let a second identity with the same cluster report a part of them' },
  )
}

function goneMeanwhile(cause: unknown): ServiceError {
  return new ServiceError('CONFLICT', 'a service or network of the report was deleted meanwhile', {
    cause,
    next: 'send the report again',
  })
}
