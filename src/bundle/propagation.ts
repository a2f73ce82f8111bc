import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import * as replicas from './replica-store.ts'
import * as revisions from './store.ts'

/** How many living replicas do not serve this sequence, or a later one, of a bundle yet. */
export async function countReplicasBehind(
  db: Db,
  meshId: MeshId,
  bundle: { readonly trustDomain: TrustDomain; readonly sequence: bigint; readonly now: Date },
): Promise<number> {
  return replicas.countReplicasBehind(db, meshId, bundle)
}

/** The largest refresh hint that a bundle advertised at any moment since `since`. */
export async function largestHintSince(
  db: Db,
  meshId: MeshId,
  bundle: { readonly trustDomain: TrustDomain; readonly since: Date },
): Promise<number | undefined> {
  return revisions.largestHintSince(db, meshId, bundle)
}

/** The trust domains of a mesh that publish a bundle, and its newest sequence. */
export async function currentSequences(
  db: Db,
  meshId: MeshId,
): Promise<{ readonly trustDomain: TrustDomain; readonly sequence: bigint }[]> {
  const current = await revisions.listCurrent(db, meshId)
  return current.map(({ trustDomain, sequence }) => ({ trustDomain, sequence }))
}
