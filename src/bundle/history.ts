import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { BundleRevision } from './revision.ts'
import { listPublishedUntil } from './store.ts'

/** Revisions read by one statement. */
const PAGE = 50

/** What a trust domain published up to a moment, the newest first; reads on only as far as its caller goes. */
export async function* publishedUntil(
  db: Db,
  meshId: MeshId,
  { trustDomain, at }: { readonly trustDomain: TrustDomain; readonly at: Date },
): AsyncGenerator<BundleRevision> {
  let before: bigint | undefined
  for (;;) {
    const revisions = await listPublishedUntil(db, meshId, { trustDomain, at, before, limit: PAGE })
    yield* revisions
    if (revisions.length < PAGE) return
    before = revisions.at(-1)?.sequence
  }
}
