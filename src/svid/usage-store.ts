import { sql } from 'kysely'
import { type Db } from '../db/schema.ts'

/** SVIDs that were issued on a day to identities of a namespace. */
export interface IssuedCount {
  readonly meshId: string
  /** `2026-01-31`, UTC. */
  readonly day: string
  /** '' for identities that lie in none. */
  readonly namespace: string
  readonly issued: number
}

/** Adds counts to what is stored, by one statement; those of a mesh that is gone are dropped. */
export async function addIssued(db: Db, counts: readonly IssuedCount[]): Promise<void> {
  const rows = counts.map(({ meshId, ...count }) => ({ mesh_id: meshId, ...count }))
  await sql`
    insert into svid_usage as u (mesh_id, day, namespace, issued)
    select r.mesh_id, r.day, r.namespace, r.issued
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      as r (mesh_id text, day text, namespace text, issued bigint)
    join mesh m on m.mesh_id = r.mesh_id
    order by r.mesh_id, r.day, r.namespace
    on conflict (mesh_id, day, namespace) do update set issued = u.issued + excluded.issued`.execute(
    db,
  )
}

/** A quota of SVIDs a day, and what of it is used. */
export interface DailyQuota {
  readonly meshId: string
  /** '' for the whole mesh. */
  readonly namespace: string
  readonly max: number
  readonly used: bigint
}

/** Every quota of SVIDs a day with what was issued on this one; the table of quotas is small. */
export async function dailyQuotas(db: Db, day: string): Promise<DailyQuota[]> {
  const { rows } = await sql<{ mesh_id: string; namespace: string; max: number; used: bigint }>`
    select q.mesh_id, q.namespace, q.max, coalesce(sum(u.issued), 0)::bigint as used
    from quota q left join svid_usage u on u.mesh_id = q.mesh_id and u.day = ${day}
      and (q.namespace = '' or u.namespace = q.namespace)
    where q.kind = 'svidsPerDay'
    group by q.mesh_id, q.namespace, q.max`.execute(db)
  return rows.map(({ mesh_id: meshId, ...row }) => ({ meshId, ...row }))
}

/** Forgets the counts of days before `day`; answers how many. */
export async function deleteOldUsage(db: Db, day: string): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('svid_usage')
    .where('day', '<', day)
    .executeTakeFirst()
  return Number(numDeletedRows)
}
