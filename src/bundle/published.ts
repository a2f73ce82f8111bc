import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { BundleRevision } from './revision.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { findCurrent, listCurrent } from './store.ts'

/** What each trust domain of a mesh publishes now. */
export async function publishedBundles(db: Db, meshId: MeshId): Promise<BundleRevision[]> {
  return listCurrent(db, meshId)
}

/** The refresh hint that a trust domain of ours advertises now. */
export async function publishedHint(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<number | undefined> {
  return (await findCurrent(db, meshId, trustDomain))?.hintSeconds
}
