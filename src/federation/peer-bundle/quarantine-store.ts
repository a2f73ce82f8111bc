import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type HeldBefore } from '../poll/accept-bundle.ts'
import {
  type DomainKey,
  HEAD,
  headOf,
  ofDomain,
  ofKey,
  type PeerRevision,
  type RevisionHead,
  revisionOf,
} from './revision-store.ts'

/** The document that waits for a person. */
export async function findWaiting(
  db: Db,
  meshId: MeshId,
  key: DomainKey,
): Promise<PeerRevision | undefined> {
  const row = await ofDomain(db, meshId, key)
    .where('disposition', '=', 'quarantined')
    .executeTakeFirst()
  return row === undefined ? undefined : revisionOf(row)
}

/** The newest fetched document, when a person rejected it: that can still be taken back. */
export async function findNewestRejected(
  db: Db,
  meshId: MeshId,
  key: DomainKey,
): Promise<PeerRevision | undefined> {
  const row = await ofDomain(db, meshId, key)
    .where('origin', '=', 'fetched')
    .orderBy('n', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined || row.disposition !== 'rejected' || row.decided_by === null) {
    return undefined
  }
  return revisionOf(row)
}

/** The documents of these relationships that wait for a person, without their bytes. */
export async function listWaitingHeads(
  db: Db,
  meshId: MeshId,
  relationshipIds: readonly string[],
): Promise<RevisionHead[]> {
  if (relationshipIds.length === 0) return []
  const rows = await db
    .selectFrom('peer_bundle_revision')
    .select(HEAD)
    .where('mesh_id', '=', meshId)
    .where('relationship_id', 'in', relationshipIds)
    .where('disposition', '=', 'quarantined')
    .execute()
  return rows.map(headOf)
}

/** What became of a document of this digest that was held back before; one that was only replaced counts as new. */
export async function findHeldBefore(
  db: Db,
  meshId: MeshId,
  { key, digest }: { readonly key: DomainKey; readonly digest: Uint8Array },
): Promise<HeldBefore | undefined> {
  const row = await db
    .selectFrom('peer_bundle_revision')
    .select('disposition')
    .where(ofKey(meshId, key))
    .where('digest', '=', digest)
    .where((eb) =>
      eb.or([
        eb('disposition', '=', 'quarantined'),
        eb('disposition', '=', 'rejected').and('decided_by', 'is not', null),
      ]),
    )
    .orderBy('n', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return undefined
  return row.disposition === 'quarantined' ? 'waiting' : 'rejected'
}

/** Takes the waiting document, if there is one, out of the queue for a reason that is nobody's decision on it. */
export async function dropWaiting(
  trx: Db,
  meshId: MeshId,
  { key, reason, at }: { readonly key: DomainKey; readonly reason: string; readonly at: Date },
): Promise<void> {
  await trx
    .updateTable('peer_bundle_revision')
    .set({ disposition: 'rejected', decided_at: at, reason })
    .where(ofKey(meshId, key))
    .where('disposition', '=', 'quarantined')
    .execute()
}

/** Writes a person's decision on a document that was held back; for `current` the one in use must have retired. */
export async function decideRevision(
  trx: Db,
  meshId: MeshId,
  decision: {
    readonly key: DomainKey
    readonly n: bigint
    readonly to: 'current' | 'rejected'
    readonly by: string
    readonly at: Date
  },
): Promise<void> {
  const { key, n, to, by, at } = decision
  await trx
    .updateTable('peer_bundle_revision')
    .set({ disposition: to, decided_at: at, decided_by: by })
    .where(ofKey(meshId, key))
    .where('n', '=', n)
    .execute()
}
