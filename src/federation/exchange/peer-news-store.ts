import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** Whose news a notice brings, of what. */
export interface NewsOf {
  readonly relationshipId: string
  readonly now: Date
}

/**
 * Has a peer that gave a verified notice asked soon: after `delaySeconds`, and not within `spacingSeconds` of the
 * last question.
 */
export async function askSoon(
  db: Db,
  meshId: MeshId,
  about: NewsOf & { readonly delaySeconds: number; readonly spacingSeconds: number },
): Promise<void> {
  const { relationshipId, now, delaySeconds, spacingSeconds } = about
  await sql`
    update peer_exchange set
      noticed_at = ${now},
      next_at = least(next_at, greatest(
        ${now}::timestamptz + make_interval(secs => ${delaySeconds}),
        coalesce(asked_at, 'epoch') + make_interval(secs => ${spacingSeconds})))
    where mesh_id = ${meshId} and relationship_id = ${relationshipId}`.execute(db)
}

/**
 * Lets one unverified claim of news count for a relationship and minute: the peer is asked now. Answers whether
 * it counted.
 */
export async function takeHint(db: Db, meshId: MeshId, { relationshipId, now }: NewsOf) {
  const { rows } = await sql<{ one: number }>`
    update peer_exchange set hinted_at = ${now}, next_at = least(next_at, ${now})
    where mesh_id = ${meshId} and relationship_id = ${relationshipId}
      and (hinted_at is null or hinted_at <= ${now}::timestamptz - interval '60 seconds')
    returning 1 as one`.execute(db)
  return rows.length > 0
}

/** The living relationship with an Entente peer that a domain belongs to, in the mesh whose primary domain is `ours`. */
export async function findByDomains(
  db: Db,
  { ours, theirs }: { readonly ours: TrustDomain; readonly theirs: TrustDomain },
): Promise<{ readonly meshId: MeshId; readonly relationshipId: string } | undefined> {
  const row = await db
    .selectFrom('trust_domain as t')
    .innerJoin('relationship_domain as d', 'd.mesh_id', 't.mesh_id')
    .innerJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'd.mesh_id').onRef('r.id', '=', 'd.relationship_id'),
    )
    .select(['r.mesh_id', 'r.id'])
    .where('t.name', '=', ours)
    .where('t.is_primary', '=', true)
    .where('d.trust_domain', '=', theirs)
    .where('r.their_exchange_id', 'is not', null)
    .where('r.state', '<>', 'terminated')
    .executeTakeFirst()
  return row === undefined ? undefined : { meshId: row.mesh_id, relationshipId: row.id }
}

/** What the peer itself says of a bundle, verified: a reason to poll unless we have fetched that much already. */
export interface BundleNews extends NewsOf {
  readonly trustDomain: TrustDomain
  /** Absent where the peer did not name it. */
  readonly sequence: bigint | undefined
  /** Least seconds between polls that news leads to; what comes sooner is polled then. */
  readonly spacingSeconds: number
}

/** Has a bundle polled early on its peer's verified word; answers whether there is anything to fetch. */
export async function pollForNews(db: Db, meshId: MeshId, news: BundleNews): Promise<boolean> {
  const { relationshipId, now, spacingSeconds, trustDomain } = news
  const sequence = news.sequence?.toString() ?? null
  const { rows } = await sql<{ one: number }>`
    with wanted as (
      select 1 from poll p
      where p.mesh_id = ${meshId} and p.relationship_id = ${relationshipId}
        and p.trust_domain = ${trustDomain}
        and (${sequence}::numeric is null or not exists (
          select 1 from peer_bundle_revision b
          where b.mesh_id = p.mesh_id and b.relationship_id = p.relationship_id
            and b.trust_domain = p.trust_domain and b.origin = 'fetched'
            and b.sequence >= ${sequence}::numeric
        ))
    ), gate as (
      update peer_exchange set early_at = case
        when early_at > ${now} then early_at
        else greatest(${now}::timestamptz,
          coalesce(early_at, 'epoch') + make_interval(secs => ${spacingSeconds})) end
      where mesh_id = ${meshId} and relationship_id = ${relationshipId}
        and exists (select from wanted)
      returning early_at
    )
    update poll p set next_at = least(p.next_at, gate.early_at) from gate
    where p.mesh_id = ${meshId} and p.relationship_id = ${relationshipId}
      and p.trust_domain = ${trustDomain}
    returning 1 as one`.execute(db)
  return rows.length > 0
}

/** Has every bundle of a relationship polled now. */
export async function pollNow(
  db: Db,
  meshId: MeshId,
  { relationshipId, now }: NewsOf,
): Promise<void> {
  await sql`
    update poll set next_at = least(next_at, ${now})
    where mesh_id = ${meshId} and relationship_id = ${relationshipId}`.execute(db)
}
