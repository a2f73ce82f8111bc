import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'

/** When trust of one relationship ends by the authorities that we hold, or by its own date. */
export interface TrustEnd {
  readonly meshId: MeshId
  readonly relationship: string
  readonly endsAt: Date
}

/** The active relationships whose trust ends first, of all meshes; at most `limit`. */
export async function listSoonestEnds(db: Db, limit: number): Promise<TrustEnd[]> {
  const { rows } = await sql<{ mesh_id: MeshId; name: string; ends_at: Date }>`
    select mesh_id, name, ends_at from (${endsOf()}) as ends
    where ends_at is not null order by ends_at limit ${limit}`.execute(db)
  return rows.map((row) => ({
    meshId: row.mesh_id,
    relationship: row.name,
    endsAt: row.ends_at,
  }))
}

/** For each mesh the first end of trust with any of its active peers. */
export async function listMeshEnds(
  db: Db,
  limit: number,
): Promise<{ readonly meshId: MeshId; readonly endsAt: Date }[]> {
  const { rows } = await sql<{ mesh_id: MeshId; ends_at: Date }>`
    select mesh_id, min(ends_at) as ends_at from (${endsOf()}) as ends
    where ends_at is not null group by mesh_id order by 2 limit ${limit}`.execute(db)
  return rows.map((row) => ({ meshId: row.mesh_id, endsAt: row.ends_at }))
}

function endsOf() {
  return sql`
    select r.mesh_id, r.name, least(min(f.breaks_at), r.expires_at) as ends_at
    from relationship r
    left join bundle_forecast f on f.mesh_id = r.mesh_id and f.relationship_id = r.id
    where r.state = 'active' group by r.mesh_id, r.id, r.name, r.expires_at`
}

/** Figures of a mesh. */
export interface MeshFigures {
  readonly meshId: MeshId
  /** Since the peer's bundle was last confirmed that was confirmed longest ago; absent without polled peers. */
  readonly oldestBundleSeconds: number | undefined
  readonly readersBehind: number
}

/** The age of each mesh's oldest peer bundle, and how many readers are behind its own. */
export async function listMeshFigures(
  db: Db,
  { now, limit }: { readonly now: Date; readonly limit: number },
): Promise<MeshFigures[]> {
  const { rows } = await sql<{
    mesh_id: MeshId
    oldest: number | null
    behind: bigint | null
  }>`
    with newest as (
      select distinct on (mesh_id, trust_domain) mesh_id, trust_domain, sequence
      from bundle_revision order by mesh_id, trust_domain, sequence desc
    )
    select m.mesh_id, p.oldest, b.behind from mesh m
    left join (
      select p.mesh_id, max(extract(epoch from ${now}::timestamptz - coalesce(p.last_success_at, r.created_at)))::float8
        as oldest
      from poll p join relationship r on r.mesh_id = p.mesh_id and r.id = p.relationship_id
      where r.state <> 'terminated' group by p.mesh_id
    ) as p on p.mesh_id = m.mesh_id
    left join (
      select e.mesh_id, count(*) as behind
      from reader e
      join newest on newest.mesh_id = e.mesh_id and newest.trust_domain = e.trust_domain
      left join relationship r on r.mesh_id = e.mesh_id and r.id = e.relationship_id
      where e.fetches >= 2 and e.sequence < newest.sequence
        and r.state is distinct from 'terminated'
      group by e.mesh_id
    ) as b on b.mesh_id = m.mesh_id
    order by m.mesh_id limit ${limit}`.execute(db)
  return rows.map((row) => ({
    meshId: row.mesh_id,
    oldestBundleSeconds: row.oldest ?? undefined,
    readersBehind: Number(row.behind ?? 0n),
  }))
}

/** Seconds by which the poll that is due longest and that nobody has begun is late. */
export async function pollLagSeconds(db: Db, now: Date): Promise<number> {
  const row = await db
    .selectFrom('poll')
    .select((eb) => eb.fn.min('next_at').as('next_at'))
    .where('owner', 'is', null)
    .where('next_at', '<', now)
    .executeTakeFirst()
  const nextAt = row?.next_at as Date | null | undefined
  return nextAt === null || nextAt === undefined ? 0 : (now.getTime() - nextAt.getTime()) / 1000
}
