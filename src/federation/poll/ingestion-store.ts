import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import {
  type DomainKey,
  ofKey,
  type PeerRevision,
  sequenceOf,
} from '../peer-bundle/revision-store.ts'

/** What the next document is ordered by: the newest that was fetched, whatever became of it (FE-37, FE-38). */
export async function findNewestFetched(
  db: Db,
  meshId: MeshId,
  key: DomainKey,
): Promise<Pick<PeerRevision, 'digest' | 'sequence'> | undefined> {
  const row = await db
    .selectFrom('peer_bundle_revision')
    .select(['digest', 'sequence'])
    .where(ofKey(meshId, key))
    .where('origin', '=', 'fetched')
    .orderBy('n', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? undefined : { digest: row.digest, sequence: sequenceOf(row) }
}

/** How many fetched revisions of a domain were stored since a moment. */
export async function countFetchedSince(
  db: Db,
  meshId: MeshId,
  { key, since }: { readonly key: DomainKey; readonly since: Date },
): Promise<number> {
  const row = await db
    .selectFrom('peer_bundle_revision')
    .select((eb) => eb.fn.countAll().as('count'))
    .where(ofKey(meshId, key))
    .where('origin', '=', 'fetched')
    .where('received_at', '>', since)
    .executeTakeFirst()
  return Number(row?.count ?? 0)
}
