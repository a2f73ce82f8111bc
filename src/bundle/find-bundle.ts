import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { BundleRevision } from './revision.ts'
import { findCurrent, listCurrent } from './store.ts'

/** The bundle that a trust domain of ours publishes; undefined before its first publication. */
export async function findCurrentBundle(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<BundleRevision | undefined> {
  return findCurrent(db, meshId, trustDomain)
}

/** The bundle that a trust domain of ours publishes; throws NOT_FOUND before its first publication. */
export async function loadCurrentBundle(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<BundleRevision> {
  const found = await findCurrent(db, meshId, trustDomain)
  if (found !== undefined) return found
  throw new ServiceError('NOT_FOUND', `trust domain ${trustDomain} publishes no bundle yet`, {
    next: 'entente bundle show',
  })
}

/** What each trust domain of a mesh publishes now. */
export async function publishedBundles(db: Db, meshId: MeshId): Promise<BundleRevision[]> {
  return listCurrent(db, meshId)
}
