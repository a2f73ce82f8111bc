import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db, type NoticeEndpoint } from '../../db/schema.ts'
import { type PeerNoticeTable } from '../../db/schema-exchange.ts'
import { type EndpointUrl } from '../../spiffe/endpoint-profile.ts'
import { type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type Notice } from './notice.ts'
import { type WorkClaim } from './peer-exchange-store.ts'
import { type Exchange } from '../relationship.ts'

/** A notice for one peer, written in the transaction of what it tells. */
export interface NewNotice extends Notice {
  readonly relationshipId: string
  readonly endpoint?: NoticeEndpoint | undefined
  readonly now: Date
}

/** Writes a notice to be sent; one of the same kind that waits still is replaced, with all its time before it again. */
export async function insertNotice(trx: Db, meshId: MeshId, notice: NewNotice): Promise<void> {
  const { relationshipId, kind, trustDomain, sequence, reason, endpoint, now } = notice
  const values = {
    sequence: sequence ?? null,
    reason: reason ?? null,
    endpoint: endpoint === undefined ? null : JSON.stringify(endpoint),
    created_at: now,
    next_at: now,
    attempts: 0,
    last_error: null,
  }
  await trx
    .insertInto('peer_notice')
    .values({
      mesh_id: meshId,
      relationship_id: relationshipId,
      kind,
      trust_domain: trustDomain,
      owner: null,
      lease_until: null,
      ...values,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['mesh_id', 'relationship_id', 'kind', 'trust_domain'])
        // The epoch rises, so that a sending of the one before neither settles nor deletes this one.
        .doUpdateSet((eb) => ({
          ...values,
          owner: null,
          lease_until: null,
          epoch: eb('peer_notice.epoch', '+', 1n),
        })),
    )
    .execute()
}

/** A bundle of ours that is newer than what peers were told of. */
export interface UnannouncedBundle {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly sequence: bigint
  readonly publishedAt: Date
}

/** Bundles of ours that changed since notices were last written. */
export async function listUnannounced(db: Db): Promise<UnannouncedBundle[]> {
  const { rows } = await sql<{
    mesh_id: MeshId
    trust_domain: TrustDomain
    sequence: bigint
    created_at: Date
  }>`
    select t.mesh_id, t.name as trust_domain, newest.sequence, newest.created_at
    from trust_domain t
    cross join lateral (
      select r.sequence, r.created_at from bundle_revision r
      where r.mesh_id = t.mesh_id and r.trust_domain = t.name
      order by r.sequence desc limit 1
    ) newest
    left join announced_bundle a on a.mesh_id = t.mesh_id and a.trust_domain = t.name
    where a.sequence is null or a.sequence < newest.sequence`.execute(db)
  return rows.map((row) => ({
    meshId: row.mesh_id,
    trustDomain: row.trust_domain,
    sequence: row.sequence,
    publishedAt: row.created_at,
  }))
}

/** Notes that notices of a bundle are written; answers false when another replica has done so. */
export async function markAnnounced(
  trx: Db,
  { meshId, trustDomain, sequence }: UnannouncedBundle,
): Promise<boolean> {
  const { rows } = await sql<{ one: number }>`
    insert into announced_bundle (mesh_id, trust_domain, sequence)
    values (${meshId}, ${trustDomain}, ${sequence})
    on conflict (mesh_id, trust_domain) do update set sequence = excluded.sequence
      where announced_bundle.sequence < excluded.sequence
    returning 1 as one`.execute(trx)
  return rows.length > 0
}

/** News of a mesh for all its Entente peers. */
export interface NewsForAll {
  readonly meshId: MeshId
  readonly kind: 'bundle' | 'proposal'
  readonly trustDomain: TrustDomain
  readonly sequence: bigint | undefined
  readonly now: Date
}

/** Writes a notice to every Entente peer of a mesh, in one statement. */
export async function insertNoticesForAll(trx: Db, news: NewsForAll): Promise<void> {
  const { meshId, kind, trustDomain, now } = news
  await sql`
    insert into peer_notice
      (mesh_id, relationship_id, kind, trust_domain, sequence, created_at, next_at)
    select r.mesh_id, r.id, ${kind}, ${trustDomain}, ${news.sequence ?? null}::bigint, ${now}, ${now}
    from relationship r
    where r.mesh_id = ${meshId} and r.their_exchange_id is not null and r.state <> 'terminated'
    on conflict (mesh_id, relationship_id, kind, trust_domain) do update set
      sequence = excluded.sequence, created_at = excluded.created_at, next_at = excluded.next_at,
      attempts = 0, last_error = null, owner = null, lease_until = null,
      epoch = peer_notice.epoch + 1`.execute(trx)
}

/** A notice that this replica sends. */
export interface NoticeTask {
  readonly meshId: MeshId
  readonly relationshipId: string
  readonly relationship: string
  readonly exchange: Exchange
  readonly endpoint: NoticeEndpoint | undefined
  readonly notice: Notice
  readonly createdAt: Date
  readonly claimedAt: Date
  readonly attempts: number
  readonly epoch: bigint
}

type NoticeRow = Pick<
  Selectable<PeerNoticeTable>,
  | 'mesh_id'
  | 'relationship_id'
  | 'kind'
  | 'trust_domain'
  | 'sequence'
  | 'reason'
  | 'endpoint'
  | 'created_at'
  | 'attempts'
  | 'epoch'
> & { name: string; their_exchange_id: SpiffeId; their_exchange_url: string }

/** Claims notices that are due, the longest due first; any number of replicas may claim. */
export async function claimNotices(db: Db, claim: WorkClaim): Promise<NoticeTask[]> {
  const { owner, now, leaseUntil, limit, pool } = claim
  const failing = pool === 'healthy' ? sql`x.attempts = 0` : sql`x.attempts > 0`
  const { rows } = await sql<NoticeRow>`
    with due as (
      select x.mesh_id, x.relationship_id, x.kind, x.trust_domain from peer_notice x
      where x.next_at <= ${now} and (x.lease_until is null or x.lease_until < ${now}) and ${failing}
      order by x.next_at limit ${limit}
      for update skip locked
    ), claimed as (
      update peer_notice x set owner = ${owner}, epoch = x.epoch + 1, lease_until = ${leaseUntil}
      from due where x.mesh_id = due.mesh_id and x.relationship_id = due.relationship_id
        and x.kind = due.kind and x.trust_domain = due.trust_domain
      returning x.*
    )
    select c.*, r.name, r.their_exchange_id, r.their_exchange_url
    from claimed c
    join relationship r on r.mesh_id = c.mesh_id and r.id = c.relationship_id
    where r.their_exchange_id is not null`.execute(db)
  return rows.map((row) => taskOf(row, now))
}

function taskOf(row: NoticeRow, claimedAt: Date): NoticeTask {
  return {
    meshId: row.mesh_id,
    relationshipId: row.relationship_id,
    relationship: row.name,
    exchange: { id: row.their_exchange_id, url: row.their_exchange_url as EndpointUrl },
    endpoint: row.endpoint ?? undefined,
    notice: {
      kind: row.kind,
      trustDomain: row.trust_domain,
      sequence: row.sequence ?? undefined,
      reason: row.reason ?? undefined,
    },
    createdAt: row.created_at,
    claimedAt,
    attempts: row.attempts,
    epoch: row.epoch,
  }
}

/** Takes a notice off the list, delivered or given up; a newer one in its place stays. */
export async function deleteNotice(
  db: Db,
  task: NoticeTask,
  { delivered }: { readonly delivered: boolean },
): Promise<void> {
  await sql`
    with gone as (
      delete from peer_notice
      where mesh_id = ${task.meshId} and relationship_id = ${task.relationshipId}
        and kind = ${task.notice.kind} and trust_domain = ${task.notice.trustDomain}
        and epoch = ${task.epoch}
    )
    update peer_exchange set notified_at = ${task.claimedAt}
    where ${delivered} and mesh_id = ${task.meshId} and relationship_id = ${task.relationshipId}`.execute(
    db,
  )
}

/** Has a notice sent again later. */
export async function postponeNotice(
  db: Db,
  task: NoticeTask,
  { nextAt, error }: { readonly nextAt: Date; readonly error: string },
): Promise<void> {
  await db
    .updateTable('peer_notice')
    .set({
      owner: null,
      lease_until: null,
      attempts: task.attempts + 1,
      next_at: nextAt,
      last_error: error,
    })
    .where('mesh_id', '=', task.meshId)
    .where('relationship_id', '=', task.relationshipId)
    .where('kind', '=', task.notice.kind)
    .where('trust_domain', '=', task.notice.trustDomain)
    .where('epoch', '=', task.epoch)
    .execute()
}

/** Gives an owner's leases back; for a replica that stops. */
export async function releaseNotices(db: Db, owner: string): Promise<void> {
  await db
    .updateTable('peer_notice')
    .set({ owner: null, lease_until: null })
    .where('owner', '=', owner)
    .execute()
}

/** Notices that these peers have not taken yet. */
export async function listWaitingNotices(
  db: Db,
  meshId: MeshId,
  relationshipIds: readonly string[],
): Promise<{ readonly relationshipId: string; readonly lastError: string | null }[]> {
  if (relationshipIds.length === 0) return []
  const rows = await db
    .selectFrom('peer_notice')
    .select(['relationship_id', 'last_error'])
    .where('mesh_id', '=', meshId)
    .where('relationship_id', 'in', relationshipIds)
    .execute()
  return rows.map((row) => ({ relationshipId: row.relationship_id, lastError: row.last_error }))
}
