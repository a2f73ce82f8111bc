import { sql } from 'kysely'
import { addSeconds } from '../../clock.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db, type PollTable } from '../../db/schema.ts'
import { type ErrorCode } from '../../errors.ts'
import { type PollTask, type WaitingBundle } from './claim-store.ts'
import { type Health } from './health.ts'
import { type DomainKey } from '../peer-bundle/revision-store.ts'

/** What a poll left behind. */
export interface PollOutcome {
  readonly task: PollTask
  readonly succeeded: boolean
  readonly failures: number
  readonly health: Health
  readonly healthReason: string | undefined
  readonly error: string | undefined
  readonly errorCode: ErrorCode | undefined
  readonly httpEtag: string | undefined
  readonly intervalSeconds: number
  readonly nextAt: Date
  /** The document that waits for a person from now on. */
  readonly waiting: WaitingBundle | undefined
}

/**
 * Writes outcomes and gives the leases back, in one statement; answers with the polls that still held.
 *
 * An outcome whose lease, generation or state has passed on changes nothing (its key is not in the answer).
 */
export async function settlePolls(db: Db, outcomes: readonly PollOutcome[]): Promise<Set<string>> {
  const settled = JSON.stringify(outcomes.map(settledRow))
  const { rows } = await sql<Pick<PollTable, 'relationship_id' | 'trust_domain'>>`
    update poll as p set
      owner = null, lease_until = null,
      next_at = v.next_at, interval_seconds = v.interval_seconds,
      failures = v.failures, health = v.health, health_reason = v.health_reason,
      last_attempt_at = v.at, last_error = v.last_error,
      last_error_code = v.last_error_code, http_etag = v.http_etag,
      last_success_at = case when v.succeeded then v.at else p.last_success_at end
    from jsonb_to_recordset(${settled}::jsonb) as v(
      mesh_id text, relationship_id uuid, trust_domain text, epoch bigint, generation bigint, state text,
      at timestamptz, next_at timestamptz, interval_seconds integer, succeeded boolean, failures integer,
      health text, health_reason text, last_error text, last_error_code text, http_etag text
    ), relationship as r
    where p.mesh_id = v.mesh_id and p.relationship_id = v.relationship_id
      and p.trust_domain = v.trust_domain and p.epoch = v.epoch and p.owner is not null
      and r.mesh_id = p.mesh_id and r.id = p.relationship_id
      and r.generation = v.generation and r.state = v.state
    returning p.relationship_id, p.trust_domain`.execute(db)
  return new Set(rows.map((row) => pollKey(row.relationship_id, row.trust_domain)))
}

/** The key of a poll within {@link settlePolls}' answer. */
export function pollKey(relationshipId: string, trustDomain: string): string {
  return `${relationshipId} ${trustDomain}`
}

function settledRow(outcome: PollOutcome): Record<string, unknown> {
  const { task } = outcome
  return {
    mesh_id: task.meshId,
    relationship_id: task.relationshipId,
    trust_domain: task.trustDomain,
    epoch: task.epoch.toString(),
    generation: task.generation.toString(),
    state: task.state,
    at: task.claimedAt,
    next_at: outcome.nextAt,
    interval_seconds: outcome.intervalSeconds,
    succeeded: outcome.succeeded,
    failures: outcome.failures,
    health: outcome.health,
    health_reason: outcome.healthReason ?? null,
    last_error: outcome.error ?? null,
    last_error_code: outcome.errorCode ?? null,
    http_etag: outcome.httpEtag ?? null,
  }
}

/** Locks a poll and tells whether the task's lease still stands, for a transaction that writes its outcome. */
export async function holdsPoll(trx: Db, task: PollTask): Promise<boolean> {
  const row = await trx
    .selectFrom('poll')
    .select('epoch')
    .where('mesh_id', '=', task.meshId)
    .where('relationship_id', '=', task.relationshipId)
    .where('trust_domain', '=', task.trustDomain)
    .where('epoch', '=', task.epoch)
    .where('owner', 'is not', null)
    .forUpdate()
    .executeTakeFirst()
  return row !== undefined
}

/**
 * Gives back the lease of a poll whose outcome was thrown away, because the relationship changed meanwhile, and has
 * it polled again soon; waiting for the lease to run out would leave a peer unpolled for half a minute.
 */
export async function repeatPoll(db: Db, task: PollTask, now: Date): Promise<void> {
  await db
    .updateTable('poll')
    .set({ owner: null, lease_until: null, next_at: addSeconds(now, REPEAT_SECONDS) })
    .where('mesh_id', '=', task.meshId)
    .where('relationship_id', '=', task.relationshipId)
    .where('trust_domain', '=', task.trustDomain)
    .where('epoch', '=', task.epoch)
    .execute()
}

const REPEAT_SECONDS = 1

/** Gives the leases of an owner back so that others can poll at once; for a replica that stops. */
export async function releasePolls(db: Db, owner: string): Promise<void> {
  await db
    .updateTable('poll')
    .set({ owner: null, lease_until: null })
    .where('owner', '=', owner)
    .execute()
}

/** Begins the polling of a domain: due at once. */
export async function insertPoll(
  trx: Db,
  meshId: MeshId,
  { key, now }: { readonly key: DomainKey; readonly now: Date },
): Promise<void> {
  await trx
    .insertInto('poll')
    .values({
      mesh_id: meshId,
      relationship_id: key.relationshipId,
      trust_domain: key.trustDomain,
      next_at: now,
      owner: null,
      lease_until: null,
      http_etag: null,
      health_reason: null,
      last_attempt_at: null,
      last_success_at: null,
      last_error: null,
      last_error_code: null,
    })
    .execute()
}

/** Ends the polling of a relationship; what is in flight finds its lease gone. */
export async function deletePolls(trx: Db, meshId: MeshId, relationshipId: string): Promise<void> {
  await trx
    .deleteFrom('poll')
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', relationshipId)
    .execute()
}

/** Ends the polling of one domain. */
export async function deletePoll(trx: Db, meshId: MeshId, key: DomainKey): Promise<void> {
  await trx
    .deleteFrom('poll')
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', key.relationshipId)
    .where('trust_domain', '=', key.trustDomain)
    .execute()
}

/** Makes the next fetch of a domain unconditional and due at once, after its bundle was set by hand. */
export async function restartPoll(
  trx: Db,
  meshId: MeshId,
  { key, now }: { readonly key: DomainKey; readonly now: Date },
): Promise<void> {
  await trx
    .updateTable('poll')
    .set((eb) => ({
      http_etag: null,
      next_at: now,
      owner: null,
      lease_until: null,
      epoch: eb('epoch', '+', 1n),
    }))
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', key.relationshipId)
    .where('trust_domain', '=', key.trustDomain)
    .execute()
}

/** How the polling of a domain stands. */
export interface PollStatus extends DomainKey {
  readonly nextAt: Date
  readonly failures: number
  readonly health: Health
  readonly lastAttemptAt: Date | undefined
  readonly lastSuccessAt: Date | undefined
  readonly lastError: string | undefined
  readonly intervalSeconds: number
}

/** How the polling of these relationships stands. */
export async function listPolls(
  db: Db,
  meshId: MeshId,
  relationshipIds: readonly string[],
): Promise<PollStatus[]> {
  if (relationshipIds.length === 0) return []
  const rows = await db
    .selectFrom('poll')
    .select([
      'relationship_id',
      'trust_domain',
      'next_at',
      'failures',
      'health',
      'last_attempt_at',
      'last_success_at',
      'last_error',
      'interval_seconds',
    ])
    .where('mesh_id', '=', meshId)
    .where('relationship_id', 'in', relationshipIds)
    .execute()
  return rows.map((row) => ({
    relationshipId: row.relationship_id,
    trustDomain: row.trust_domain,
    nextAt: row.next_at,
    failures: row.failures,
    health: row.health as Health,
    lastAttemptAt: row.last_attempt_at ?? undefined,
    lastSuccessAt: row.last_success_at ?? undefined,
    lastError: row.last_error ?? undefined,
    intervalSeconds: row.interval_seconds,
  }))
}

/** How many polled domains there are, by state of their relationship and health. */
export async function countPolls(
  db: Db,
): Promise<{ readonly state: string; readonly health: string; readonly count: number }[]> {
  const rows = await db
    .selectFrom('poll as p')
    .innerJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'p.mesh_id').onRef('r.id', '=', 'p.relationship_id'),
    )
    .select((eb) => ['r.state', 'p.health', eb.fn.countAll().as('count')])
    .groupBy(['r.state', 'p.health'])
    .execute()
  return rows.map(({ state, health, count }) => ({ state, health, count: Number(count) }))
}
