import { type Sharer, sharingMesh } from '../../catalog/route/shared-endpoints.ts'
import { type Db } from '../../db/schema.ts'
import { isServiceError } from '../../errors.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { lostName } from '../binding/lost-name.ts'
import { type Query } from '../decision/answer.ts'
import { evaluate } from '../decision/evaluate.ts'
import { serviceKey, type Snapshot } from '../snapshot/snapshot.ts'
import { type Snapshots } from '../snapshot/snapshots.ts'

/** What the other half of a decision is read with. */
export interface SharerDeps {
  readonly db: Db
  readonly snapshots: Pick<Snapshots, 'current'>
}

/**
 * The mesh of this service that has a peer's service, if both share a network and its own rules show it to who asks.
 *
 * An offer may be written by hand and proves nothing, so addresses are given only by that mesh's own half: its
 * relationship with us, its rules and its name for the service, all as they are now. To be called outside a
 * transaction.
 */
export async function findSharer(
  { db, snapshots }: SharerDeps,
  ours: Snapshot,
  { query, now }: { readonly query: Omit<Query, 'at'>; readonly now: Date },
): Promise<Sharer | undefined> {
  const { of, subject, caller, namespace } = query
  if (of === undefined) return undefined
  const meshId = await sharingMesh(db, ours.meshId, of)
  if (meshId === undefined) return undefined
  const theirs = await currentOrGone(snapshots, meshId)
  const to =
    theirs && nameForUs(theirs, caller === undefined ? ours.trustDomains : [trustDomainOf(caller)])
  if (theirs === undefined || to === undefined) return undefined
  const open: Query = { subject, to, at: now }
  const { decision, exportedName } = evaluate(theirs, open)
  const isShown = decision === 'allow' && exportedName === serviceKey(subject)
  if (!isShown || lostName(theirs, open) !== undefined) return undefined
  return {
    meshId,
    mayUse: ({ portName, cluster }) =>
      evaluate(theirs, { ...open, caller, namespace, port: portName, cluster }).decision ===
      'allow',
  }
}

/** What another mesh calls us: the one relationship of it that has a trust domain of ours. */
function nameForUs(
  theirs: Snapshot,
  trustDomains: Iterable<Parameters<Snapshot['relationshipOf']['get']>[0]>,
): string | undefined {
  for (const domain of trustDomains) {
    const found = theirs.relationshipOf.get(domain)
    if (found !== undefined) return found.name
  }
  return undefined
}

/** A mesh that was deleted meanwhile shares nothing. */
async function currentOrGone(
  snapshots: SharerDeps['snapshots'],
  meshId: Snapshot['meshId'],
): Promise<Snapshot | undefined> {
  try {
    return await snapshots.current(meshId)
  } catch (error) {
    if (isServiceError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}
