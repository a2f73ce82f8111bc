import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'

/** What of the history of trust is kept. */
export interface TrustRetention {
  /** Spans that ended before this moment go. */
  readonly before: Date
  /** Most ended spans of one relationship; the oldest go first. */
  readonly maxSpans: number
  /** Most changes of standing of one relationship, consents of ours not counted. */
  readonly maxStandings: number
}

/**
 * Deletes ended spans beyond the retention and remembers per mesh since when its history is whole; answers how many
 * went. What is trusted now always stays.
 */
export async function pruneSpans(db: Db, keep: TrustRetention): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    with crowded as (
      select mesh_id, relationship_id from trust_span where until_at is not null
      group by mesh_id, relationship_id having count(*) > ${keep.maxSpans}
    ), surplus as (
      select p.mesh_id, p.id from (
        select s.mesh_id, s.id, row_number() over (
          partition by s.mesh_id, s.relationship_id order by s.until_at desc, s.id
        ) as place
        from trust_span s join crowded c using (mesh_id, relationship_id)
        where s.until_at is not null
      ) as p where p.place > ${keep.maxSpans}
    ), gone as (
      delete from trust_span s
      where s.until_at < ${keep.before}
        or (s.mesh_id, s.id) in (select mesh_id, id from surplus)
      returning s.mesh_id, s.until_at
    ), noted as (
      insert into trust_history (mesh_id, complete_since)
      select mesh_id, max(until_at) from gone group by mesh_id
      on conflict (mesh_id) do update
        set complete_since = greatest(trust_history.complete_since, excluded.complete_since)
    )
    select count(*)::integer as count from gone`.execute(db)
  return rows[0]?.count ?? 0
}

/**
 * Deletes changes of standing beyond the retention. Per relationship the newest one before the moment stays, as do
 * our consents while it exists, so that the history that is left can name them.
 */
export async function pruneStandings(db: Db, keep: TrustRetention): Promise<void> {
  await sql`
    delete from relationship_standing as s using (
      select mesh_id, relationship_id, n,
        row_number() over (partition by mesh_id, relationship_id order by n desc) as place,
        max(n) filter (where at < ${keep.before})
          over (partition by mesh_id, relationship_id) as newest_old,
        max(at) over (partition by mesh_id, relationship_id) as newest_at
      from relationship_standing
    ) as old
    where s.mesh_id = old.mesh_id and s.relationship_id = old.relationship_id and s.n = old.n
      and case when exists (
          select 1 from relationship r where r.mesh_id = s.mesh_id and r.id = s.relationship_id
        )
        then (s.n < old.newest_old or old.place > ${keep.maxStandings})
          and s.event not in ('create', 'approve')
        else old.newest_at < ${keep.before} or old.place > ${keep.maxStandings}
      end`.execute(db)
}

/** Active relationships with peers that make nobody trusted by the history, at most `limit`. */
export async function listUntold(
  db: Db,
  limit: number,
): Promise<{ readonly meshId: MeshId; readonly id: string }[]> {
  const { rows } = await sql<{ mesh_id: MeshId; id: string }>`
    select r.mesh_id, r.id from relationship r
    where r.state = 'active' and r.purpose = 'peer'
      and not exists (
        select 1 from trust_span s
        where s.mesh_id = r.mesh_id and s.relationship_id = r.id and s.until_at is null
      )
    order by r.mesh_id, r.id limit ${limit}`.execute(db)
  return rows.map((row) => ({ meshId: row.mesh_id, id: row.id }))
}

/** Remembers that before a moment the history of a mesh may lack something. */
export async function raiseCompleteSince(trx: Db, meshId: MeshId, at: Date): Promise<void> {
  await trx
    .insertInto('trust_history')
    .values({ mesh_id: meshId, complete_since: at })
    .onConflict((conflict) =>
      conflict.column('mesh_id').doUpdateSet({
        complete_since: sql<Date>`greatest(trust_history.complete_since, excluded.complete_since)`,
      }),
    )
    .execute()
}
