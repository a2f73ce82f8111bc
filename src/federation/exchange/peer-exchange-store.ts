import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type BundleSource, type Db, type RelationshipState } from '../../db/schema.ts'
import { type PeerExchangeTable } from '../../db/schema-exchange.ts'
import { type EndpointUrl } from '../../spiffe/endpoint-profile.ts'
import { type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type Exchange } from '../relationship.ts'
import { type DomainKey } from '../peer-bundle/revision-store.ts'

/** The endpoint of one domain of a peer, and the bundle of that domain that is in use. */
export interface CallTarget {
  readonly source: BundleSource
  readonly endpointId: SpiffeId | undefined
  readonly inUse: { readonly n: bigint; readonly digest: Uint8Array } | undefined
}

/** The endpoint of one domain of a relationship; undefined without such a domain. What proves it is decided by polls. */
export async function findCallTarget(
  db: Db,
  meshId: MeshId,
  { relationshipId, trustDomain }: DomainKey,
): Promise<CallTarget | undefined> {
  const row = await db
    .selectFrom('relationship_domain as d')
    .leftJoin('peer_bundle_revision as b', (join) =>
      join
        .onRef('b.mesh_id', '=', 'd.mesh_id')
        .onRef('b.relationship_id', '=', 'd.relationship_id')
        .onRef('b.trust_domain', '=', 'd.trust_domain')
        .on('b.disposition', '=', 'current'),
    )
    .select(['d.source', 'd.endpoint_spiffe_id', 'b.n', 'b.digest'])
    .where('d.mesh_id', '=', meshId)
    .where('d.relationship_id', '=', relationshipId)
    .where('d.trust_domain', '=', trustDomain)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { source, endpoint_spiffe_id: endpointId, n, digest } = row
  const inUse = n === null || digest === null ? undefined : { n, digest }
  return { source, endpointId: endpointId ?? undefined, inUse }
}

/** A peer that is to be asked how it stands to us, claimed by this replica. */
export interface AskTask {
  readonly meshId: MeshId
  readonly relationshipId: string
  readonly relationship: string
  readonly generation: bigint
  readonly state: RelationshipState
  readonly exchange: Exchange
  readonly epoch: bigint
  readonly claimedAt: Date
  readonly failures: number
  /** Seconds between polls of its bundle; 0 before the first. */
  readonly pollSeconds: number
}

/** Which asks to claim, for whom and for how long. */
export interface WorkClaim {
  readonly owner: string
  readonly now: Date
  readonly leaseUntil: Date
  readonly limit: number
  readonly pool: 'healthy' | 'other'
}

/** Begins to ask those Entente peers of a mesh, or of all, that have no row yet; due at once. */
export async function enrolPeers(db: Db, now: Date, meshId?: MeshId): Promise<void> {
  const ofMesh = meshId === undefined ? sql`` : sql`and r.mesh_id = ${meshId}`
  await sql`
    insert into peer_exchange (mesh_id, relationship_id, next_at)
    select r.mesh_id, r.id, ${now} from relationship r
    where r.their_exchange_id is not null and r.state <> 'terminated' ${ofMesh}
      and not exists (
        select 1 from peer_exchange x where x.mesh_id = r.mesh_id and x.relationship_id = r.id
      )
    on conflict do nothing`.execute(db)
}

/** Claims peers that are due to be asked, the longest due first; any number of replicas may claim. */
export async function claimAsks(db: Db, claim: WorkClaim): Promise<AskTask[]> {
  const { owner, now, leaseUntil, limit, pool } = claim
  const failing = pool === 'healthy' ? sql`x.failures = 0` : sql`x.failures > 0`
  const { rows } = await sql<
    Pick<Selectable<PeerExchangeTable>, 'mesh_id' | 'relationship_id' | 'epoch' | 'failures'> & {
      name: string
      generation: bigint
      state: RelationshipState
      their_exchange_id: SpiffeId
      their_exchange_url: string
      poll_seconds: number | null
    }
  >`
    with due as (
      select x.mesh_id, x.relationship_id from peer_exchange x
      where x.next_at <= ${now} and (x.lease_until is null or x.lease_until < ${now}) and ${failing}
      order by x.next_at limit ${limit}
      for update skip locked
    ), claimed as (
      update peer_exchange x set owner = ${owner}, epoch = x.epoch + 1, lease_until = ${leaseUntil}
      from due where x.mesh_id = due.mesh_id and x.relationship_id = due.relationship_id
      returning x.mesh_id, x.relationship_id, x.epoch, x.failures
    )
    select c.*, r.name, r.generation, r.state, r.their_exchange_id, r.their_exchange_url,
      (select min(p.interval_seconds) from poll p
        where p.mesh_id = c.mesh_id and p.relationship_id = c.relationship_id
          and p.interval_seconds > 0) as poll_seconds
    from claimed c
    join relationship r on r.mesh_id = c.mesh_id and r.id = c.relationship_id
    where r.their_exchange_id is not null and r.state <> 'terminated'`.execute(db)
  return rows.map((row) => ({
    meshId: row.mesh_id,
    relationshipId: row.relationship_id,
    relationship: row.name,
    generation: row.generation,
    state: row.state,
    exchange: { id: row.their_exchange_id, url: row.their_exchange_url as EndpointUrl },
    epoch: row.epoch,
    claimedAt: now,
    failures: row.failures,
    pollSeconds: row.poll_seconds ?? 0,
  }))
}

/** How an ask ended. */
export interface AskEnd {
  readonly nextAt: Date
  readonly failures: number
  readonly error: string | undefined
  /** The peer's words, kept as they were told; the last ones stay when there are none. */
  readonly told: Record<string, unknown> | undefined
}

/**
 * Writes how an ask ended and gives its lease back; changes nothing when the lease has passed on. An ask that was
 * wanted meanwhile stays as early as it was wanted.
 */
export async function settleAsk(db: Db, task: AskTask, end: AskEnd): Promise<void> {
  const told = end.told === undefined ? null : JSON.stringify(end.told)
  await sql`
    update peer_exchange set
      owner = null, lease_until = null,
      next_at = case when noticed_at > ${task.claimedAt} then least(next_at, ${end.nextAt})
        else ${end.nextAt} end,
      failures = ${end.failures}, last_error = ${end.error ?? null}, asked_at = ${task.claimedAt},
      answered_at = case when ${told}::jsonb is null then answered_at else ${task.claimedAt} end,
      told = coalesce(${told}::jsonb, told)
    where mesh_id = ${task.meshId} and relationship_id = ${task.relationshipId}
      and epoch = ${task.epoch} and owner is not null`.execute(db)
}

/** Gives an owner's leases back so that others can ask at once; for a replica that stops. */
export async function releaseAsks(db: Db, owner: string): Promise<void> {
  await db
    .updateTable('peer_exchange')
    .set({ owner: null, lease_until: null })
    .where('owner', '=', owner)
    .execute()
}

/** Digest of the parameters that a peer told when it last answered. */
export async function findTold(
  db: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<string | undefined> {
  const { rows } = await sql<{ digest: string | null }>`
    select told -> 'parameters' ->> 'digest' as digest from peer_exchange
    where mesh_id = ${meshId} and relationship_id = ${relationshipId}`.execute(db)
  return rows[0]?.digest ?? undefined
}

/** What is known of the channel to a peer, for people. */
export interface PeerExchangeView {
  readonly relationshipId: string
  readonly askedAt: Date | undefined
  readonly answeredAt: Date | undefined
  readonly lastError: string | undefined
  readonly noticedAt: Date | undefined
  readonly notifiedAt: Date | undefined
  readonly told: Record<string, unknown> | undefined
}

/** What is known of the channels to these peers. */
export async function listPeerExchanges(
  db: Db,
  meshId: MeshId,
  relationshipIds: readonly string[],
): Promise<PeerExchangeView[]> {
  if (relationshipIds.length === 0) return []
  const rows = await db
    .selectFrom('peer_exchange')
    .select(['relationship_id', 'asked_at', 'answered_at', 'last_error', 'told'])
    .select(['noticed_at', 'notified_at'])
    .where('mesh_id', '=', meshId)
    .where('relationship_id', 'in', relationshipIds)
    .execute()
  return rows.map((row) => ({
    relationshipId: row.relationship_id,
    askedAt: row.asked_at ?? undefined,
    answeredAt: row.answered_at ?? undefined,
    lastError: row.last_error ?? undefined,
    noticedAt: row.noticed_at ?? undefined,
    notifiedAt: row.notified_at ?? undefined,
    told: row.told ?? undefined,
  }))
}

/** Ends the channel to a peer whose relationship is over. */
export async function deletePeerExchange(
  trx: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<void> {
  await trx
    .deleteFrom('peer_exchange')
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', relationshipId)
    .execute()
}
