import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** A reader that used to poll our bundle, beside what is published now. */
export interface PollingReader {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly label: string
  /** The relationship that it belongs to, unless it was made by hand. */
  readonly relationshipId: string | undefined
  readonly relationship: string | undefined
  readonly isActive: boolean
  readonly lastAt: Date
  /** What it certainly holds. */
  readonly sequence: bigint
  readonly current: bigint
  readonly publishedAt: Date
  readonly hintSeconds: number
  /** When a key began to sign that what it holds does not have. */
  readonly unknownSince: Date | undefined
}

interface ReaderRow {
  mesh_id: MeshId
  trust_domain: TrustDomain
  label: string
  relationship_id: string | null
  name: string | null
  state: string | null
  last_at: Date
  sequence: bigint
  current: bigint
  created_at: Date
  hint_seconds: number
  unknown_since: Date | null
}

/**
 * Readers that fetched twice or more and are behind our newest sequence, or were silent since `silentSince`.
 *
 * Those of relationships that are over are nobody's concern.
 */
export async function listTroubledReaders(db: Db, silentSince: Date): Promise<PollingReader[]> {
  const { rows } = await sql<ReaderRow>`
    with newest as (
      select distinct on (mesh_id, trust_domain) mesh_id, trust_domain, sequence, created_at, hint_seconds
      from bundle_revision order by mesh_id, trust_domain, sequence desc
    )
    select e.mesh_id, e.trust_domain, e.label, e.relationship_id, r.name, r.state, e.last_at,
      e.sequence, newest.sequence as current, newest.created_at, newest.hint_seconds,
      (select min(a.activated_at) from authority a
        where a.mesh_id = e.mesh_id and a.trust_domain = e.trust_domain and a.state = 'active'
          and a.kind <> 'x509_intermediate' and a.published_sequence > e.sequence) as unknown_since
    from reader e
    join newest on newest.mesh_id = e.mesh_id and newest.trust_domain = e.trust_domain
    left join relationship r on r.mesh_id = e.mesh_id and r.id = e.relationship_id
    where e.fetches >= 2 and e.sequence is not null and r.state is distinct from 'terminated'
      and (e.sequence < newest.sequence or e.last_at < ${silentSince})`.execute(db)
  return rows.map((row) => ({
    meshId: row.mesh_id,
    trustDomain: row.trust_domain,
    label: row.label,
    relationshipId: row.relationship_id ?? undefined,
    relationship: row.name ?? undefined,
    isActive: row.state === 'active',
    lastAt: row.last_at,
    sequence: row.sequence,
    current: row.current,
    publishedAt: row.created_at,
    hintSeconds: row.hint_seconds,
    unknownSince: row.unknown_since ?? undefined,
  }))
}

/** A key of ours that was activated although not everybody was known to hold it. */
export interface ForcedAuthority {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly kind: string
  readonly activatedAt: Date
}

/** Keys that sign now and were activated by force since a moment. */
export async function listForcedAuthorities(db: Db, since: Date): Promise<ForcedAuthority[]> {
  const rows = await db
    .selectFrom('authority')
    .select(['mesh_id', 'trust_domain', 'kind', 'activated_at'])
    .where('state', '=', 'active')
    .where('forced', '=', true)
    .where('kind', '<>', 'x509_intermediate')
    .where('activated_at', '>', since)
    .execute()
  return rows.flatMap(({ mesh_id: meshId, trust_domain: trustDomain, kind, activated_at }) =>
    activated_at === null ? [] : [{ meshId, trustDomain, kind, activatedAt: activated_at }],
  )
}

/** A webhook with deliveries that were given up. */
export interface DeadWebhook {
  readonly meshId: MeshId | undefined
  readonly name: string
}

/** Webhooks with deliveries that were given up since a moment. */
export async function listDeadWebhooks(db: Db, since: Date): Promise<DeadWebhook[]> {
  const rows = await db
    .selectFrom('webhook as w')
    .select(['w.mesh_id', 'w.name'])
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('webhook_delivery as v')
          .select('v.id')
          .whereRef('v.webhook_id', '=', 'w.id')
          .where('v.state', '=', 'dead')
          .where('v.ended_at', '>', since),
      ),
    )
    .execute()
  return rows.map((row) => ({ meshId: row.mesh_id ?? undefined, name: row.name }))
}
