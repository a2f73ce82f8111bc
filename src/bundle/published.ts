import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { BundleRevision } from './revision.ts'
import { listCurrent } from './store.ts'

/** What each trust domain of a mesh publishes now. */
export async function publishedBundles(db: Db, meshId: MeshId): Promise<BundleRevision[]> {
  return listCurrent(db, meshId)
}
