import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import {
  type DomainKey,
  HEAD,
  headOf,
  ofKey,
  type RevisionHead,
  type VerifiedBy,
} from './revision-store.ts'

/** Revisions of a domain without their documents, the newest first, before `before` when given. */
export async function listRevisions(
  db: Db,
  meshId: MeshId,
  page: { readonly key: DomainKey; readonly before?: bigint | undefined; readonly limit: number },
): Promise<(RevisionHead & { readonly verifiedBy: VerifiedBy })[]> {
  let query = db
    .selectFrom('peer_bundle_revision')
    .select([...HEAD, 'verified_by'])
    .where(ofKey(meshId, page.key))
    .orderBy('n', 'desc')
    .limit(page.limit)
  if (page.before !== undefined) query = query.where('n', '<', page.before)
  const rows = await query.execute()
  return rows.map((row) => ({ ...headOf(row), verifiedBy: row.verified_by as VerifiedBy }))
}

/** What of the history of peers' bundles is kept. */
export interface RevisionRetention {
  readonly before: Date
  readonly maxRevisions: number
  readonly maxBytes: number
}

/**
 * Deletes revisions beyond the retention and answers how many: never the one in use or one that waits, nor the newest fetched,
 * by which the next document is ordered.
 */
export async function pruneRevisions(db: Db, keep: RevisionRetention): Promise<bigint> {
  const result = await sql`
    delete from peer_bundle_revision as r using (
      select mesh_id, relationship_id, trust_domain, n, received_at,
        row_number() over newest_first as place,
        sum(octet_length(document)) over newest_first as bytes,
        max(n) filter (where origin = 'fetched')
          over (partition by mesh_id, relationship_id, trust_domain) as newest_fetched
      from peer_bundle_revision
      window newest_first as (
        partition by mesh_id, relationship_id
        order by (disposition in ('current', 'quarantined')) desc, received_at desc, n desc, trust_domain
      )
    ) as old
    where r.mesh_id = old.mesh_id and r.relationship_id = old.relationship_id
      and r.trust_domain = old.trust_domain and r.n = old.n
      and r.disposition not in ('current', 'quarantined')
      and r.n is distinct from old.newest_fetched
      and (old.received_at < ${keep.before} or old.place > ${keep.maxRevisions}
        or old.bytes > ${keep.maxBytes})`.execute(db)
  return result.numAffectedRows ?? 0n
}
