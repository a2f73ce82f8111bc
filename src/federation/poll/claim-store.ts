import { type RawBuilder, type Selectable, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import {
  type ChangePolicy,
  type Db,
  type PollTable,
  type RelationshipState,
  type RevisionOrigin,
} from '../../db/schema.ts'
import { type EndpointUrl } from '../../spiffe/endpoint-profile.ts'
import { type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type DomainKey } from '../peer-bundle/revision-store.ts'
import { type RevisionKey } from './anchors.ts'

/** A poll that this replica has claimed: everything its fetch and its outcome depend on. */
export interface PollTask extends DomainKey {
  readonly meshId: MeshId
  readonly relationship: string
  readonly generation: bigint
  readonly state: RelationshipState
  readonly policy: ChangePolicy
  readonly hintMinSeconds: number | undefined
  readonly hintMaxSeconds: number | undefined
  readonly endpointUrl: EndpointUrl
  /** Absent for https_web. */
  readonly endpointId: SpiffeId | undefined
  /** Raised by the claim; whatever is written for this poll holds only while it stands. */
  readonly epoch: bigint
  readonly dueAt: Date
  readonly claimedAt: Date
  readonly failures: number
  readonly since: Date
  readonly lastSuccessAt: Date | undefined
  readonly httpEtag: string | undefined
  /** Of the mesh's `distrust` topic at the claim: what was distrusted by then authenticates nothing. */
  readonly distrustRevision: bigint
  readonly inUse: TaskBundle | undefined
  readonly waiting: WaitingBundle | undefined
}

/** A document that waits for a person, without its bytes. */
export interface WaitingBundle {
  readonly n: bigint
  readonly digest: Uint8Array
  readonly reason: string
}

/** The bundle in use when a poll was claimed, without its document. */
export interface TaskBundle {
  readonly n: bigint
  readonly digest: Uint8Array
  readonly origin: RevisionOrigin
  readonly hintSeconds: number | undefined
}

/** The revision in use when a poll was claimed, whose anchors authenticate the fetch. */
export function revisionInUse(
  task: DomainKey & {
    readonly inUse: Pick<TaskBundle, 'n' | 'digest'> | undefined
    readonly distrustRevision?: bigint | undefined
  },
): RevisionKey | undefined {
  const { relationshipId, trustDomain, inUse, distrustRevision } = task
  return inUse === undefined
    ? undefined
    : { relationshipId, trustDomain, ...inUse, distrustRevision }
}

/** Peers whose last poll succeeded, and all others: two pools, so that dead peers do not hold up live ones. */
export type PollPool = 'healthy' | 'other'

/** For whom and for how long polls are claimed. */
export interface PollClaim {
  readonly owner: string
  readonly now: Date
  readonly leaseUntil: Date
}

/** Most polls to claim of each pool. */
export type PollLimits = Readonly<Record<PollPool, number>>

/** A claimed poll and the pool it belongs to. */
export interface ClaimedPoll {
  readonly task: PollTask
  readonly pool: PollPool
}

interface ClaimedRow extends Selectable<PollTable> {
  due_at: Date
  pool: PollPool
  name: string
  generation: bigint
  state: RelationshipState
  change_policy: ChangePolicy
  hint_min_seconds: number | null
  hint_max_seconds: number | null
  since: Date
  endpoint_url: string
  endpoint_spiffe_id: SpiffeId | null
  n: bigint | null
  digest: Uint8Array | null
  origin: RevisionOrigin | null
  distrust_revision: bigint | null
  refresh_hint_seconds: number | null
  waiting_n: bigint | null
  waiting_digest: Uint8Array | null
  waiting_reason: string | null
}

const HEALTHY = sql`p.failures = 0 and p.last_success_at is not null`

/**
 * Claims polls that are due and under nobody's lease, of each pool the longest due first, in one statement; any
 * number of replicas may ask.
 */
export async function claimDue(
  db: Db,
  claim: PollClaim & { readonly limits: PollLimits },
): Promise<ClaimedPoll[]> {
  const { now, limits } = claim
  const isFree = sql`(p.lease_until is null or p.lease_until < ${now})`
  const pick = (pool: PollPool, isMember: RawBuilder<unknown>): RawBuilder<unknown> =>
    picked(pool, {
      condition: sql`p.next_at <= ${now} and ${isFree} and ${isMember}`,
      limit: limits[pool],
    })
  const due = sql`healthy as (${pick('healthy', HEALTHY)}),
    other as (${pick('other', sql`not (${HEALTHY})`)}),
    due as (select * from healthy union all select * from other)`
  return claimPicked(db, claim, due)
}

/** Claims the polls of one relationship now, due or not; those that are in flight elsewhere are left out. */
export async function claimRelationship(
  db: Db,
  meshId: MeshId,
  claim: PollClaim & { readonly relationshipId: string },
): Promise<PollTask[]> {
  const condition = sql`p.mesh_id = ${meshId} and p.relationship_id = ${claim.relationshipId}
    and (p.lease_until is null or p.lease_until < ${claim.now})`
  const due = sql`due as (${picked('other', { condition, limit: 1000 })})`
  return (await claimPicked(db, claim, due)).map(({ task }) => task)
}

function picked(
  pool: PollPool,
  { condition, limit }: { readonly condition: RawBuilder<unknown>; readonly limit: number },
): RawBuilder<unknown> {
  return sql`select p.mesh_id, p.relationship_id, p.trust_domain, p.next_at as due_at, ${sql.lit(pool)} as pool
    from poll p where ${condition} order by p.next_at limit ${limit} for update skip locked`
}

async function claimPicked(
  db: Db,
  claim: PollClaim,
  due: RawBuilder<unknown>,
): Promise<ClaimedPoll[]> {
  const { rows } = await sql<ClaimedRow>`
    with ${due}, claimed as (
      update poll p set owner = ${claim.owner}, epoch = p.epoch + 1, lease_until = ${claim.leaseUntil}
      from due
      where p.mesh_id = due.mesh_id and p.relationship_id = due.relationship_id
        and p.trust_domain = due.trust_domain
      returning p.*, due.due_at, due.pool
    )
    select c.*, r.name, r.generation, r.state, r.change_policy, r.hint_min_seconds, r.hint_max_seconds,
      r.created_at as since, d.endpoint_url, d.endpoint_spiffe_id,
      b.n, b.digest, b.origin, b.refresh_hint_seconds,
      q.n as waiting_n, q.digest as waiting_digest, q.reason as waiting_reason,
      k.revision as distrust_revision
    from claimed c
    join relationship r on r.mesh_id = c.mesh_id and r.id = c.relationship_id
    join relationship_domain d on d.mesh_id = c.mesh_id
      and d.relationship_id = c.relationship_id and d.trust_domain = c.trust_domain
    left join peer_bundle_revision b on b.mesh_id = c.mesh_id
      and b.relationship_id = c.relationship_id and b.trust_domain = c.trust_domain
      and b.disposition = 'current'
    left join peer_bundle_revision q on q.mesh_id = c.mesh_id
      and q.relationship_id = c.relationship_id and q.trust_domain = c.trust_domain
      and q.disposition = 'quarantined'
    left join change k on k.mesh_id = c.mesh_id and k.topic = 'distrust'
    order by c.due_at`.execute(db)
  return rows.map((row) => ({ task: taskOf(row, claim.now), pool: row.pool }))
}

function taskOf(row: ClaimedRow, claimedAt: Date): PollTask {
  return {
    meshId: row.mesh_id,
    relationshipId: row.relationship_id,
    relationship: row.name,
    trustDomain: row.trust_domain,
    generation: row.generation,
    state: row.state,
    policy: row.change_policy,
    hintMinSeconds: row.hint_min_seconds ?? undefined,
    hintMaxSeconds: row.hint_max_seconds ?? undefined,
    endpointUrl: row.endpoint_url as EndpointUrl,
    endpointId: row.endpoint_spiffe_id ?? undefined,
    epoch: row.epoch,
    dueAt: row.due_at,
    claimedAt,
    failures: row.failures,
    since: row.since,
    lastSuccessAt: row.last_success_at ?? undefined,
    httpEtag: row.http_etag ?? undefined,
    distrustRevision: row.distrust_revision ?? 0n,
    inUse: bundleOf(row),
    waiting: waitingOf(row),
  }
}

function bundleOf(row: ClaimedRow): TaskBundle | undefined {
  if (row.n === null || row.digest === null || row.origin === null) return undefined
  const hintSeconds = row.refresh_hint_seconds ?? undefined
  return { n: row.n, digest: row.digest, origin: row.origin, hintSeconds }
}

function waitingOf(row: ClaimedRow): WaitingBundle | undefined {
  if (row.waiting_n === null || row.waiting_digest === null) return undefined
  return { n: row.waiting_n, digest: row.waiting_digest, reason: row.waiting_reason ?? '' }
}
