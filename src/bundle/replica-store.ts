import { sql } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'

/** Seconds after its last sign of life for which a replica still counts as living. */
export const REPLICA_LIVES_SECONDS = 30

/** Notes which sequence of each bundle this replica serves; answers false while the replica has no row. */
export async function reportServed(
  db: Db,
  replicaId: string,
  served: readonly { readonly trustDomain: TrustDomain; readonly sequence: bigint }[],
): Promise<boolean> {
  const replica = await db
    .selectFrom('replica')
    .select('id')
    .where('id', '=', replicaId)
    .executeTakeFirst()
  if (replica === undefined) return false
  const rows = JSON.stringify(
    served.map((one) => ({ trust_domain: one.trustDomain, sequence: one.sequence.toString() })),
  )
  await sql`
    insert into replica_bundle (replica_id, trust_domain, sequence, since)
    select replica.id, v.trust_domain, v.sequence, now()
    from jsonb_to_recordset(${rows}::jsonb) as v(trust_domain text, sequence bigint)
    join trust_domain on trust_domain.name = v.trust_domain
    join replica on replica.id = ${replicaId}
    on conflict (replica_id, trust_domain)
      do update set sequence = excluded.sequence, since = excluded.since
      where replica_bundle.sequence <> excluded.sequence`.execute(db)
  return true
}

/** How many living replicas do not serve this sequence, or a later one, of a bundle yet. */
export async function countReplicasBehind(
  db: Db,
  meshId: MeshId,
  bundle: { readonly trustDomain: TrustDomain; readonly sequence: bigint; readonly now: Date },
): Promise<number> {
  const alive = new Date(bundle.now.getTime() - REPLICA_LIVES_SECONDS * 1000)
  const { rows } = await sql<{ behind: bigint }>`
    select count(*) as behind
    from replica
    left join replica_bundle as held
      on held.replica_id = replica.id and held.trust_domain = ${bundle.trustDomain}
    where replica.seen_at > ${alive}
      and (held.sequence is null or held.sequence < ${bundle.sequence})
      and exists (
        select 1 from trust_domain
        where mesh_id = ${meshId} and name = ${bundle.trustDomain}
      )`.execute(db)
  return Number(rows[0]?.behind ?? 0)
}

/** Notes that a replica lives; forgets those that were silent for a day. */
export async function beat(db: Db, replicaId: string, now: Date): Promise<void> {
  await db
    .insertInto('replica')
    .values({ id: replicaId, started_at: now, seen_at: now })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ seen_at: now }))
    .execute()
  const dayAgo = new Date(now.getTime() - 86_400_000)
  await db.deleteFrom('replica').where('seen_at', '<', dayAgo).execute()
}

/** How many replicas live. */
export async function countReplicas(db: Db, now: Date): Promise<number> {
  const alive = new Date(now.getTime() - REPLICA_LIVES_SECONDS * 1000)
  const row = await db
    .selectFrom('replica')
    .select(({ fn }) => fn.countAll<bigint>().as('living'))
    .where('seen_at', '>', alive)
    .executeTakeFirstOrThrow()
  return Number(row.living)
}

/** Takes a replica away, with what it noted. */
export async function deleteReplica(db: Db, replicaId: string): Promise<void> {
  await db.deleteFrom('replica').where('id', '=', replicaId).execute()
}
