import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { type BundleComparison, compareBundles } from './compare-bundles.ts'
import { findWaiting } from '../peer-bundle/quarantine-store.ts'
import {
  type DomainKey,
  findCurrent,
  findRevision,
  type PeerRevision,
} from '../peer-bundle/revision-store.ts'

/** Two revisions of a domain by what people call them: a number, `current` or `quarantined`. */
export interface Sides {
  readonly from: string
  readonly to: string
}

/** Two revisions and what differs; a side is absent when no bundle is in use. */
export interface RevisionDiff extends BundleComparison {
  readonly from: PeerRevision | undefined
  readonly to: PeerRevision | undefined
}

/** Compares two revisions by authority. Throws NOT_FOUND for one that is not stored. */
export async function diffRevisions(
  db: Db,
  meshId: MeshId,
  { key, from, to }: Sides & { readonly key: DomainKey },
): Promise<RevisionDiff> {
  const before = await findSide(db, meshId, { key, side: from })
  const after = await findSide(db, meshId, { key, side: to })
  const [old, fresh] = [before, after].map(
    (revision) => revision && readDocument(key.trustDomain, revision.document).bundle,
  )
  return { from: before, to: after, ...compareBundles(old, fresh) }
}

async function findSide(
  db: Db,
  meshId: MeshId,
  { key, side }: { readonly key: DomainKey; readonly side: string },
): Promise<PeerRevision | undefined> {
  if (side === 'current') return findCurrent(db, meshId, key)
  if (side === 'quarantined') {
    return (await findWaiting(db, meshId, key)) ?? refuse(`no document of ${key.trustDomain} waits`)
  }
  const found = await findRevision(db, meshId, { key, n: BigInt(side) })
  return found ?? refuse(`${key.trustDomain} has no revision ${side}, or no longer`)
}

function refuse(message: string): never {
  throw new ServiceError('NOT_FOUND', message, {
    next: 'name revisions that exist with from= and to=; the list is at …/revisions',
  })
}
