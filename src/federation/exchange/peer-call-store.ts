import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db, type RelationshipState } from '../../db/schema.ts'
import { type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** The relationship that an exchange identity belongs to, and the bundle of it that is in use. */
export interface CallerRow {
  readonly meshId: MeshId
  readonly relationshipId: string
  readonly name: string
  readonly generation: bigint
  readonly state: RelationshipState
  readonly bundle: { readonly n: bigint; readonly digest: Uint8Array } | undefined
}

/** Who is meant by a token: the mesh whose primary domain is `ours`, and its peer with exactly this exchange identity. */
export async function findCaller(
  db: Db,
  about: {
    readonly ours: TrustDomain
    readonly from: SpiffeId
    readonly theirs: TrustDomain
  },
): Promise<CallerRow | undefined> {
  const { rows } = await sql<{
    mesh_id: MeshId
    id: string
    name: string
    generation: bigint
    state: RelationshipState
    n: bigint | null
    digest: Uint8Array | null
  }>`
    select r.mesh_id, r.id, r.name, r.generation, r.state, b.n, b.digest
    from trust_domain t
    join relationship r on r.mesh_id = t.mesh_id
      and r.their_exchange_id = ${about.from} and r.state <> 'terminated'
    left join peer_bundle_revision b on b.mesh_id = r.mesh_id and b.relationship_id = r.id
      and b.trust_domain = ${about.theirs} and b.disposition = 'current'
    where t.name = ${about.ours} and t.is_primary`.execute(db)
  const [row] = rows
  if (row === undefined) return undefined
  const { mesh_id: meshId, id: relationshipId, name, generation, state, n, digest } = row
  const bundle = n === null || digest === null ? undefined : { n, digest }
  return { meshId, relationshipId, name, generation, state, bundle }
}

/** Notes that a token was used; answers false when it was before, on whichever replica. */
export async function useJti(
  db: Db,
  meshId: MeshId,
  used: { readonly relationshipId: string; readonly jti: string; readonly expiresAt: Date },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('peer_call_jti')
    .values({
      mesh_id: meshId,
      relationship_id: used.relationshipId,
      jti: used.jti,
      expires_at: used.expiresAt,
    })
    .onConflict((conflict) => conflict.columns(['mesh_id', 'relationship_id', 'jti']).doNothing())
    .executeTakeFirst()
  return (numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** Rows that one statement deletes. */
const PRUNE_BATCH = 10_000

/** Forgets all tokens that ended before a moment, 10,000 with each statement; answers how many. */
export async function deleteEndedJtis(db: Db, before: Date): Promise<number> {
  let deleted = 0
  for (;;) {
    const batch = await deleteBatch(db, before)
    deleted += batch
    if (batch < PRUNE_BATCH) return deleted
  }
}

async function deleteBatch(db: Db, before: Date): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from peer_call_jti where (mesh_id, relationship_id, jti) in (
      select mesh_id, relationship_id, jti from peer_call_jti
      where expires_at < ${before} order by expires_at limit ${PRUNE_BATCH}
    )`.execute(db)
  return Number(numAffectedRows ?? 0n)
}
