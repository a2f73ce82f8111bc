import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Consent, type Db } from '../../db/schema.ts'
import { type Relationship } from '../relationship.ts'
import { type TrustEvent } from './trust-store.ts'

/** Appends how a relationship stands after an event; under the relationship's lock, or as it is made. */
export async function appendStanding(
  trx: Db,
  relationship: Relationship,
  { event, actor, at, reason }: TrustEvent & { readonly reason?: string | undefined },
): Promise<void> {
  const { meshId, id, name, state, ourConsent, theirConsent } = relationship
  await sql`
    insert into relationship_standing
      (mesh_id, relationship_id, n, name, event, state, our_consent, their_consent, at, actor, reason)
    select ${meshId}, ${id}::uuid, coalesce(max(n), 0) + 1, ${name}, ${event}, ${state}, ${ourConsent},
      ${theirConsent}, ${at}::timestamptz, ${actor}, ${reason ?? null}
    from relationship_standing
    where mesh_id = ${meshId} and relationship_id = ${id}::uuid`.execute(trx)
}

/** Who consented for us, and how the peer did, as of a moment. */
export interface ConsentRecord {
  readonly by: string
  readonly at: Date
  readonly theirConsent: Consent
}

interface ConsentRow {
  relationship_id: string
  actor: string
  at: Date
  their_consent: Consent
}

/** The consents that relationships rested on at a moment, by relationship id; absent where the history was pruned. */
export async function consentsAt(
  db: Db,
  meshId: MeshId,
  { relationshipIds, at }: { readonly relationshipIds: readonly string[]; readonly at: Date },
): Promise<Map<string, ConsentRecord>> {
  if (relationshipIds.length === 0) return new Map()
  const { rows } = await sql<ConsentRow>`
    select r.id as relationship_id, given.actor, given.at, newest.their_consent
    from unnest(${relationshipIds}::uuid[]) as r(id)
    join lateral (
      select s.actor, s.at from relationship_standing s
      where s.mesh_id = ${meshId} and s.relationship_id = r.id and s.at <= ${at}
        and s.event in ('create', 'approve') and s.our_consent = 'given'
      order by s.n desc limit 1
    ) as given on true
    join lateral (
      select s.their_consent from relationship_standing s
      where s.mesh_id = ${meshId} and s.relationship_id = r.id and s.at <= ${at}
      order by s.n desc limit 1
    ) as newest on true`.execute(db)
  return new Map(
    rows.map((row) => [
      row.relationship_id,
      { by: row.actor, at: row.at, theirConsent: row.their_consent },
    ]),
  )
}
