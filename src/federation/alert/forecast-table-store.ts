import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type Coverage } from './forecast.ts'

/** A bundle in use whose ends are not written down yet, or changed since. */
export interface ForecastDue {
  readonly meshId: MeshId
  readonly relationshipId: string
  readonly trustDomain: TrustDomain
  readonly n: bigint
  readonly document: Uint8Array
  /** Which keys were distrusted: revision of the mesh's `distrust` topic. */
  readonly distrusted: string
}

interface DueRow {
  mesh_id: MeshId
  relationship_id: string
  trust_domain: TrustDomain
  n: bigint
  document: Uint8Array
  distrusted: string
}

/**
 * Bundles in use whose ends are to be computed: new ones, those whose keys were distrusted or trusted again, and
 * every minute those that have ended, since an authority of theirs may have become valid.
 */
export async function listForecastsDue(
  db: Db,
  { now, limit }: { readonly now: Date; readonly limit: number },
): Promise<ForecastDue[]> {
  const minuteAgo = new Date(now.getTime() - 60_000)
  const { rows } = await sql<DueRow>`
    select b.mesh_id, b.relationship_id, b.trust_domain, b.n, b.document,
      coalesce(c.revision, 0)::text as distrusted
    from peer_bundle_revision b
    left join bundle_forecast f on f.mesh_id = b.mesh_id
      and f.relationship_id = b.relationship_id and f.trust_domain = b.trust_domain
    left join change c on c.mesh_id = b.mesh_id and c.topic = 'distrust'
    where b.disposition = 'current'
      and (f.n is null or f.n <> b.n or f.distrusted <> coalesce(c.revision, 0)::text
        or (f.breaks_at < ${now} and f.computed_at < ${minuteAgo}))
    limit ${limit}`.execute(db)
  return rows.map((row) => ({
    meshId: row.mesh_id,
    relationshipId: row.relationship_id,
    trustDomain: row.trust_domain,
    n: row.n,
    document: row.document,
    distrusted: row.distrusted,
  }))
}

/** A bundle in use and how long it lasts; without X.509 authorities there is no coverage. */
export interface ComputedForecast {
  readonly due: ForecastDue
  readonly coverage: Coverage | undefined
}

/** Writes down how long bundles last, in one statement; relationships that are gone are left out. */
export async function saveForecasts(
  db: Db,
  computed: readonly ComputedForecast[],
  now: Date,
): Promise<void> {
  const rows = JSON.stringify(
    computed.map(({ due, coverage }) => ({
      mesh_id: due.meshId,
      relationship_id: due.relationshipId,
      trust_domain: due.trustDomain,
      n: due.n.toString(),
      distrusted: due.distrusted,
      breaks_at: coverage?.endsAt ?? null,
      first_end_at: coverage?.firstEndAt ?? null,
      life_seconds: coverage === undefined ? null : Math.round(coverage.lifeSeconds),
    })),
  )
  await sql`
    insert into bundle_forecast (mesh_id, relationship_id, trust_domain, n, distrusted, breaks_at,
      first_end_at, life_seconds, computed_at)
    select v.mesh_id, v.relationship_id, v.trust_domain, v.n, v.distrusted, v.breaks_at,
      v.first_end_at, v.life_seconds, ${now}
    from jsonb_to_recordset(${rows}::jsonb) as v(mesh_id text, relationship_id uuid,
      trust_domain text, n bigint, distrusted text, breaks_at timestamptz, first_end_at timestamptz,
      life_seconds bigint)
    join relationship_domain d on d.mesh_id = v.mesh_id
      and d.relationship_id = v.relationship_id and d.trust_domain = v.trust_domain
    on conflict (mesh_id, relationship_id, trust_domain) do update set
      n = excluded.n, distrusted = excluded.distrusted, breaks_at = excluded.breaks_at,
      first_end_at = excluded.first_end_at, life_seconds = excluded.life_seconds,
      computed_at = excluded.computed_at`.execute(db)
}
