import { addSeconds } from '../../clock.ts'
import { inTransaction } from '../../db/connect.ts'
import { type MeshId } from '../../db/ids.ts'
import { ServiceError } from '../../errors.ts'
import { claimRelationship, type PollTask } from './claim-store.ts'
import { loadRelationship } from '../find-relationship.ts'
import {
  judge,
  type RefreshDeps,
  type RefreshOptions,
  refreshPeer,
  warningsOf,
  wordFor,
  fetchOrRecover,
} from './refresh.ts'
import { type RefreshReport } from './refresh-report.ts'
import { isPolled, isUnproven, UNPROVEN_REASON } from '../relationship.ts'
import { LEASE_SECONDS } from './scheduler.ts'

/** A poll outside the schedule. */
export interface RefreshNow {
  readonly name: string
  /** This replica's name; it owns the leases. */
  readonly owner: string
  readonly options: RefreshOptions
  /** Fetch and judge, store nothing. */
  readonly dryRun: boolean
}

/** How one domain fared. */
export type DomainOutcome = Pick<RefreshReport, 'outcome' | 'error' | 'sequence' | 'warnings'> & {
  readonly trustDomain: string
}

/** How long a poll that is in flight is waited for: one total limit and a little. */
const PATIENCE_MS = 12_000
const LOOK_EVERY_MS = 200

/**
 * Polls the domains of one relationship now and answers how each fared.
 *
 * Throws NOT_FOUND, and CONFLICT when there is nothing to fetch, or when polls of it stay in flight elsewhere.
 */
export async function refreshNow(
  deps: RefreshDeps,
  meshId: MeshId,
  request: RefreshNow,
): Promise<DomainOutcome[]> {
  const relationship = await loadRelationship(deps.db, meshId, request.name)
  const fetched = relationship.domains.filter(({ source }) => isPolled(source))
  if (relationship.state === 'terminated' || fetched.length === 0) {
    throw nothingToFetch(relationship)
  }
  if (isUnproven(relationship)) throw unproven(relationship)
  const tasks = await claimPatiently(deps, meshId, { ...request, relationshipId: relationship.id })
  return Promise.all(
    tasks.map((task) =>
      request.dryRun ? tryPeer(deps, task, request.options) : pollPeer(deps, task, request.options),
    ),
  )
}

/** The polls of a relationship as a trial needs them: nothing is claimed once this returns. Throws CONFLICT. */
export async function claimForTrial(
  deps: RefreshDeps,
  meshId: MeshId,
  trial: Pick<RefreshNow, 'name' | 'owner' | 'options'> & { readonly relationshipId: string },
): Promise<PollTask[]> {
  return claimPatiently(deps, meshId, { ...trial, dryRun: true })
}

async function pollPeer(
  deps: RefreshDeps,
  task: PollTask,
  options: RefreshOptions,
): Promise<DomainOutcome> {
  const { outcome, error, sequence, warnings } = await refreshPeer(deps, task, options)
  return { trustDomain: task.trustDomain, outcome, error, sequence, warnings }
}

async function tryPeer(
  deps: RefreshDeps,
  task: PollTask,
  options: RefreshOptions,
): Promise<DomainOutcome> {
  const { fetched } = await fetchOrRecover(deps, task, options.signal)
  const judged = await judge(deps, task, { fetched, options })
  return {
    trustDomain: task.trustDomain,
    outcome: wordFor(judged),
    error: judged.kind === 'failed' ? judged.error : undefined,
    sequence: 'read' in judged ? judged.read.bundle.sequence : undefined,
    warnings: warningsOf(judged),
  }
}

async function claimPatiently(
  deps: RefreshDeps,
  meshId: MeshId,
  request: RefreshNow & { readonly relationshipId: string },
): Promise<PollTask[]> {
  const untilMs = deps.clock.monotonicMs() + PATIENCE_MS
  for (;;) {
    const tasks = await claimOnce(deps, meshId, request)
    if (tasks.length > 0) return tasks
    if (deps.clock.monotonicMs() > untilMs) throw inFlight(request.name)
    await deps.clock.sleep(LOOK_EVERY_MS, request.options.signal)
  }
}

async function claimOnce(
  deps: RefreshDeps,
  meshId: MeshId,
  { relationshipId, owner, dryRun }: RefreshNow & { readonly relationshipId: string },
): Promise<PollTask[]> {
  return inTransaction(
    deps.db,
    async (trx) => {
      const now = await deps.now(trx)
      const leaseUntil = addSeconds(now, LEASE_SECONDS)
      return claimRelationship(trx, meshId, { relationshipId, owner, now, leaseUntil })
    },
    { dryRun },
  )
}

function unproven({ name }: { name: string }): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `relationship ${name}: ${UNPROVEN_REASON}; nothing is fetched`,
    {
      next: `entente federation accept FILE, or: entente federation terminate ${name}`,
    },
  )
}

function nothingToFetch({ name, state }: { name: string; state: string }): ServiceError {
  return state === 'terminated'
    ? new ServiceError('CONFLICT', `relationship ${name} is terminated; nothing is fetched`, {
        next: `entente federation delete ${name}`,
      })
    : new ServiceError('CONFLICT', `the bundles of relationship ${name} are given by hand`, {
        next: `entente bundle set ${name} --file FILE`,
      })
}

function inFlight(name: string): ServiceError {
  return new ServiceError('CONFLICT', `a poll of relationship ${name} is still in flight`, {
    retryAfterSeconds: 5,
    next: `entente federation show ${name}`,
  })
}
