import { sql } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'

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

/**
 * Has the bundles of a relationship polled early: at once, but not within `spacingSeconds` of the last attempt. Of
 * one domain, if it is named and its newest document is older than `sequence`, where that is known; else of all.
 */
export async function pollSoon(
  db: Db,
  meshId: MeshId,
  about: NewsOf & {
    readonly spacingSeconds: number
    readonly trustDomain?: TrustDomain | undefined
    readonly sequence?: bigint | undefined
  },
): Promise<boolean> {
  const { relationshipId, now, spacingSeconds, trustDomain, sequence } = about
  const { rows } = await sql<{ one: number }>`
    update poll p set next_at = least(p.next_at, greatest(${now}::timestamptz,
      coalesce(p.last_attempt_at, 'epoch') + make_interval(secs => ${spacingSeconds})))
    where p.mesh_id = ${meshId} and p.relationship_id = ${relationshipId}
      and (${trustDomain ?? null}::text is null or p.trust_domain = ${trustDomain ?? null})
      and (${sequence?.toString() ?? null}::numeric is null or not exists (
        select 1 from peer_bundle_revision b
        where b.mesh_id = p.mesh_id and b.relationship_id = p.relationship_id
          and b.trust_domain = p.trust_domain and b.origin = 'fetched'
          and b.sequence >= ${sequence?.toString() ?? null}::numeric
      ))
    returning 1 as one`.execute(db)
  return rows.length > 0
}
