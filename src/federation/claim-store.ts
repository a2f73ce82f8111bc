import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import {
  type Db,
  type PollTable,
  type RelationshipState,
  type RevisionOrigin,
} from '../db/schema.ts'
import { type EndpointUrl } from '../spiffe/endpoint-profile.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { type DomainKey } from './revision-store.ts'

/** A poll that this replica has claimed: everything its fetch and its outcome depend on. */
export interface PollTask extends DomainKey {
  readonly meshId: MeshId
  readonly relationship: string
  readonly generation: bigint
  readonly state: RelationshipState
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
  readonly inUse: TaskBundle | undefined
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
  task: PollTask,
): (DomainKey & Pick<TaskBundle, 'n' | 'digest'>) | undefined {
  const { relationshipId, trustDomain, inUse } = task
  return inUse === undefined ? undefined : { relationshipId, trustDomain, ...inUse }
}

/** Peers whose last poll succeeded, and all others: two pools, so that dead peers do not hold up live ones. */
export type PollPool = 'healthy' | 'other'

/** Which polls to claim, for whom and for how long. */
export interface PollClaim {
  readonly owner: string
  readonly now: Date
  readonly leaseUntil: Date
  readonly limit: number
  readonly pool: PollPool
}

interface ClaimedRow extends Selectable<PollTable> {
  due_at: Date
  name: string
  generation: bigint
  state: RelationshipState
  hint_min_seconds: number | null
  hint_max_seconds: number | null
  since: Date
  endpoint_url: string
  endpoint_spiffe_id: SpiffeId | null
  n: bigint | null
  digest: Uint8Array | null
  origin: RevisionOrigin | null
  refresh_hint_seconds: number | null
}

const HEALTHY = sql`p.failures = 0 and p.last_success_at is not null`

/** Claims polls that are due and under nobody's lease, the longest due first; any number of replicas may ask. */
export async function claimDue(db: Db, claim: PollClaim): Promise<PollTask[]> {
  const pool = claim.pool === 'healthy' ? HEALTHY : sql`not (${HEALTHY})`
  return claimWhere(db, claim, {
    condition: sql`p.next_at <= ${claim.now} and (p.lease_until is null or p.lease_until < ${claim.now}) and ${pool}`,
    limit: claim.limit,
  })
}

/** Claims the polls of one relationship now, due or not; those that are in flight elsewhere are left out. */
export async function claimRelationship(
  db: Db,
  meshId: MeshId,
  claim: Omit<PollClaim, 'limit' | 'pool'> & { readonly relationshipId: string },
): Promise<PollTask[]> {
  return claimWhere(db, claim, {
    condition: sql`p.mesh_id = ${meshId} and p.relationship_id = ${claim.relationshipId}
      and (p.lease_until is null or p.lease_until < ${claim.now})`,
    limit: 1000,
  })
}

async function claimWhere(
  db: Db,
  claim: Pick<PollClaim, 'owner' | 'now' | 'leaseUntil'>,
  which: { readonly condition: ReturnType<typeof sql>; readonly limit: number },
): Promise<PollTask[]> {
  const { rows } = await sql<ClaimedRow>`
    with due as (
      select p.mesh_id, p.relationship_id, p.trust_domain, p.next_at as due_at
      from poll p where ${which.condition}
      order by p.next_at limit ${which.limit}
      for update skip locked
    ), claimed as (
      update poll p set owner = ${claim.owner}, epoch = p.epoch + 1, lease_until = ${claim.leaseUntil}
      from due
      where p.mesh_id = due.mesh_id and p.relationship_id = due.relationship_id
        and p.trust_domain = due.trust_domain
      returning p.*, due.due_at
    )
    select c.*, r.name, r.generation, r.state, r.hint_min_seconds, r.hint_max_seconds,
      r.created_at as since, d.endpoint_url, d.endpoint_spiffe_id,
      b.n, b.digest, b.origin, b.refresh_hint_seconds
    from claimed c
    join relationship r on r.mesh_id = c.mesh_id and r.id = c.relationship_id
    join relationship_domain d on d.mesh_id = c.mesh_id
      and d.relationship_id = c.relationship_id and d.trust_domain = c.trust_domain
    left join peer_bundle_revision b on b.mesh_id = c.mesh_id
      and b.relationship_id = c.relationship_id and b.trust_domain = c.trust_domain
      and b.disposition = 'current'
    order by c.due_at`.execute(db)
  return rows.map((row) => taskOf(row, claim.now))
}

function taskOf(row: ClaimedRow, claimedAt: Date): PollTask {
  return {
    meshId: row.mesh_id,
    relationshipId: row.relationship_id,
    relationship: row.name,
    trustDomain: row.trust_domain,
    generation: row.generation,
    state: row.state,
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
    inUse: bundleOf(row),
  }
}

function bundleOf(row: ClaimedRow): TaskBundle | undefined {
  if (row.n === null || row.digest === null || row.origin === null) return undefined
  const hintSeconds = row.refresh_hint_seconds ?? undefined
  return { n: row.n, digest: row.digest, origin: row.origin, hintSeconds }
}
