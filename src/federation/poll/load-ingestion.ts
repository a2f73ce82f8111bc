import { type MeshId } from '../../db/ids.ts'
import { type ChangePolicy, type Db } from '../../db/schema.ts'
import {
  type BundleInUse,
  type Ingestion,
  type ReadDocument,
  readDocument,
} from './accept-bundle.ts'
import { type KeyDigests } from '../trust/effective-bundle.ts'
import { findHeldBefore } from '../peer-bundle/quarantine-store.ts'
import { findNewestFetched } from './ingestion-store.ts'
import { type DomainKey, findCurrent } from '../peer-bundle/revision-store.ts'

/** A fetched document, and on whose word it is judged. */
export interface Offer {
  readonly key: DomainKey
  readonly policy: ChangePolicy
  readonly read: ReadDocument
  readonly acceptLowerSequence: boolean
  readonly distrusted: KeyDigests
}

/**
 * Loads what a fetched document is judged against: under policy `auto` one statement, else three.
 *
 * `inUse` spares `auto` the reading of the bundle in use, where the caller knows it already.
 */
export async function loadIngestion(
  db: Db,
  meshId: MeshId,
  {
    key,
    policy,
    read,
    acceptLowerSequence,
    distrusted,
    inUse,
  }: Offer & { readonly inUse?: BundleInUse | undefined },
): Promise<Ingestion> {
  const newestFetched = await findNewestFetched(db, meshId, key)
  const common = { policy, newestFetched, acceptLowerSequence, distrusted }
  if (policy === 'auto') return { ...common, inUse, held: undefined, before: undefined }
  const current = await findCurrent(db, meshId, key)
  return {
    ...common,
    inUse: current,
    held:
      current === undefined ? undefined : readDocument(key.trustDomain, current.document).bundle,
    before: await findHeldBefore(db, meshId, { key, digest: read.digest }),
  }
}
