import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { MAX_CHANGES_PER_HOUR } from '../poll/next-poll.ts'

/** The relationship that a fact is about. */
export interface AboutRelationship {
  readonly meshId: MeshId
  readonly relationshipId: string
  readonly relationship: string
}

/** A polled domain whose last poll failed or lies too far back. */
export interface TroubledPoll extends AboutRelationship {
  readonly trustDomain: TrustDomain
  readonly failures: number
  readonly health: string
  readonly lastError: string | undefined
  readonly lastErrorCode: string | undefined
  readonly lastSuccessAt: Date | undefined
  /** No success for three intervals and 15 minutes. */
  readonly isStale: boolean
}

interface Row {
  mesh_id: MeshId
  relationship_id: string
  name: string
  trust_domain: TrustDomain
}

const about = (row: Row): AboutRelationship & { readonly trustDomain: TrustDomain } => ({
  meshId: row.mesh_id,
  relationshipId: row.relationship_id,
  relationship: row.name,
  trustDomain: row.trust_domain,
})

/** Polls that are not as they should be, of relationships that are not over. */
export async function listTroubledPolls(db: Db, now: Date): Promise<TroubledPoll[]> {
  const { rows } = await sql<
    Row & {
      failures: number
      health: string
      last_error: string | null
      last_error_code: string | null
      last_success_at: Date | null
      is_stale: boolean
    }
  >`
    select * from (
      select p.mesh_id, p.relationship_id, r.name, p.trust_domain, p.failures, p.health,
        p.last_error, p.last_error_code, p.last_success_at,
        coalesce(p.last_success_at, r.created_at)
          < ${now}::timestamptz - make_interval(secs => greatest(900, 3 * p.interval_seconds)) as is_stale
      from poll p join relationship r on r.mesh_id = p.mesh_id and r.id = p.relationship_id
      where r.state <> 'terminated'
    ) as polled
    where failures > 0 or is_stale or health = 'needs-bootstrap'`.execute(db)
  return rows.map((row) => ({
    ...about(row),
    failures: row.failures,
    health: row.health,
    lastError: row.last_error ?? undefined,
    lastErrorCode: row.last_error_code ?? undefined,
    lastSuccessAt: row.last_success_at ?? undefined,
    isStale: row.is_stale,
  }))
}

/** A domain of a peer whose stored authorities end before long, or have ended. */
export interface EndingDomain extends AboutRelationship {
  readonly trustDomain: TrustDomain
  readonly isActive: boolean
  readonly source: string
  /** The domain whose authorities end: its own, or that in which its endpoint stands. */
  readonly endingDomain: TrustDomain
  readonly endsAt: Date
  readonly lifeSeconds: number
  readonly failures: number
}

/** Nothing that ends later than this is looked at. */
const HORIZON_SECONDS = 7 * 86_400

/**
 * Domains whose authorities, or those that authenticate their endpoint, end within half a life and seven days.
 *
 * Half a life, since the successor of a short-lived authority is published by then.
 */
export async function listEndingDomains(db: Db, now: Date): Promise<EndingDomain[]> {
  const { rows } = await sql<
    Row & {
      state: string
      source: string
      ending_domain: TrustDomain
      breaks_at: Date
      life_seconds: bigint | null
      failures: number | null
    }
  >`
    with ending as (
      select mesh_id, relationship_id, trust_domain, breaks_at, life_seconds from bundle_forecast
      where breaks_at < ${now}::timestamptz + make_interval(secs =>
        least(${HORIZON_SECONDS}::float8, coalesce(nullif(life_seconds, 0) / 2.0, 1e9)))
    ), concerned as (
      select mesh_id, relationship_id, trust_domain, trust_domain as ending_domain, breaks_at, life_seconds
      from ending
      union all
      select d.mesh_id, d.relationship_id, d.trust_domain, e.trust_domain, e.breaks_at, e.life_seconds
      from relationship_domain d
      join ending e on e.mesh_id = d.mesh_id
        and e.trust_domain = split_part(d.endpoint_spiffe_id, '/', 3)
      where d.source = 'https_spiffe' and d.trust_domain <> e.trust_domain
    )
    select c.mesh_id, c.relationship_id, r.name, c.trust_domain, r.state, d.source,
      c.ending_domain, c.breaks_at, c.life_seconds, p.failures
    from concerned c
    join relationship_domain d on d.mesh_id = c.mesh_id
      and d.relationship_id = c.relationship_id and d.trust_domain = c.trust_domain
    join relationship r on r.mesh_id = c.mesh_id and r.id = c.relationship_id
    left join poll p on p.mesh_id = c.mesh_id and p.relationship_id = c.relationship_id
      and p.trust_domain = c.trust_domain
    where r.state <> 'terminated'`.execute(db)
  return rows.map((row) => ({
    ...about(row),
    isActive: row.state === 'active',
    source: row.source,
    endingDomain: row.ending_domain,
    endsAt: row.breaks_at,
    lifeSeconds: Number(row.life_seconds ?? 0n),
    failures: row.failures ?? 0,
  }))
}

/** A document of a peer that waits for a person. */
export interface WaitingDocument extends AboutRelationship {
  readonly trustDomain: TrustDomain
  readonly n: bigint
  readonly reason: string | undefined
}

/** Documents in quarantine. */
export async function listWaitingDocuments(db: Db): Promise<WaitingDocument[]> {
  const { rows } = await sql<Row & { n: bigint; reason: string | null }>`
    select b.mesh_id, b.relationship_id, r.name, b.trust_domain, b.n, b.reason
    from peer_bundle_revision b
    join relationship r on r.mesh_id = b.mesh_id and r.id = b.relationship_id
    where b.disposition = 'quarantined' and r.state <> 'terminated'`.execute(db)
  return rows.map((row) => ({ ...about(row), n: row.n, reason: row.reason ?? undefined }))
}

/** A domain whose bundle changes all the time. */
export interface ChangingDomain extends AboutRelationship {
  readonly trustDomain: TrustDomain
}

/** Domains that changed more often within the last hour than anybody needs. */
export async function listChangingDomains(db: Db, now: Date): Promise<ChangingDomain[]> {
  const { rows } = await sql<Row>`
    select b.mesh_id, b.relationship_id, r.name, b.trust_domain
    from peer_bundle_revision b
    join relationship r on r.mesh_id = b.mesh_id and r.id = b.relationship_id
    where b.received_at > ${now}::timestamptz - interval '1 hour' and b.origin = 'fetched' and r.state <> 'terminated'
    group by b.mesh_id, b.relationship_id, r.name, b.trust_domain
    having count(*) > ${MAX_CHANGES_PER_HOUR}`.execute(db)
  return rows.map(about)
}

/** A relationship whose owner wanted to be reminded. */
export interface DatedRelationship extends AboutRelationship {
  readonly reviewAt: Date | undefined
  readonly expiresAt: Date | undefined
}

/** Relationships to be looked at now, or that end before `until`. */
export async function listDatedRelationships(
  db: Db,
  { now, until }: { readonly now: Date; readonly until: Date },
): Promise<DatedRelationship[]> {
  const rows = await db
    .selectFrom('relationship')
    .select(['mesh_id', 'id', 'name', 'review_at', 'expires_at'])
    .where('state', '<>', 'terminated')
    .where((eb) => eb.or([eb('review_at', '<=', now), eb('expires_at', '<=', until)]))
    .execute()
  return rows.map((row) => ({
    meshId: row.mesh_id,
    relationshipId: row.id,
    relationship: row.name,
    reviewAt: row.review_at ?? undefined,
    expiresAt: row.expires_at ?? undefined,
  }))
}

/** Which of these relationships are not over. */
export async function listLiving(db: Db, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set()
  const rows = await db
    .selectFrom('relationship')
    .select('id')
    .where('id', 'in', ids)
    .where('state', '<>', 'terminated')
    .execute()
  return new Set(rows.map(({ id }) => id))
}
