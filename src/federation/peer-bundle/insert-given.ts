import { type ChangeContext } from '../../audit/record.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type ReadDocument } from '../poll/accept-bundle.ts'
import { type DomainKey, insertRevision, nextNumber, type VerifiedBy } from './revision-store.ts'

/** A bundle that was fetched before its relationship was there. */
export interface FirstBundle {
  readonly read: ReadDocument
  readonly verifiedBy: VerifiedBy
}

/** Stores a bundle that a person gave as the one in use; the one before must have been retired. */
export async function insertGiven(
  trx: Db,
  meshId: MeshId,
  {
    signedBy,
    ...about
  }: {
    readonly key: DomainKey
    readonly read: ReadDocument
    readonly context: ChangeContext
    /** What proved it, where a signature did. */
    readonly signedBy?: 'recovery-key' | 'svid' | undefined
  },
): Promise<void> {
  const hand = { how: 'hand', actor: about.context.actor } as const
  const verifiedBy = signedBy === undefined ? hand : { ...hand, signedBy }
  const origin = signedBy === undefined ? 'manual' : 'signed'
  await insertFirst(trx, meshId, { ...about, verifiedBy, origin })
}

/** Stores the first bundle of a domain as the one in use. */
export async function insertFirst(
  trx: Db,
  meshId: MeshId,
  about: FirstBundle & {
    readonly key: DomainKey
    readonly origin: 'fetched' | 'manual' | 'signed'
    readonly context: ChangeContext
  },
): Promise<void> {
  const { key, read, verifiedBy, origin, context } = about
  await insertRevision(trx, meshId, {
    key,
    revision: {
      n: await nextNumber(trx, meshId, key),
      sequence: read.bundle.sequence,
      hintSeconds: read.bundle.refreshHintSeconds,
      document: read.document,
      digest: read.digest,
      receivedAt: context.now,
      verifiedBy,
      origin,
      disposition: 'current',
      reason: undefined,
    },
  })
}
