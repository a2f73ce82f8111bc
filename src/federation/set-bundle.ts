import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type ReadDocument, readDocument } from './accept-bundle.ts'
import { activateIfReady } from './activate.ts'
import { type BundleDiff, diffBundles } from './bundle-diff.ts'
import { insertGiven } from './create-relationship.ts'
import { lockRelationship } from './find-relationship.ts'
import { bundleFingerprint, parseFingerprint } from './fingerprint.ts'
import { openSigned } from './open-signed.ts'
import { restartPoll } from './poll-store.ts'
import { recordTrust } from './record-trust.ts'
import { type Relationship } from './relationship.ts'
import { findCurrent, retireCurrent } from './revision-store.ts'

/** A bundle that somebody brought over another way. */
export interface SetBundle {
  readonly name: string
  readonly trustDomain: TrustDomain
  readonly document: Uint8Array
  readonly context: ChangeContext
}

/** A bundle set by hand and what it changed. */
export interface BundleSet {
  readonly relationship: Relationship
  readonly read: ReadDocument
  readonly diff: BundleDiff
}

/**
 * Puts a bundle given by hand in the place of the stored one, whatever its sequence (FE-38).
 *
 * It counts as the latest until the next successful poll, which begins at once, and has no say in the order of
 * fetched ones. Throws NOT_FOUND, CONFLICT when the relationship is over, BUNDLE_MALFORMED.
 */
export async function setBundle(trx: Db, meshId: MeshId, given: SetBundle): Promise<BundleSet> {
  const relationship = await lockRelationship(trx, meshId, given.name)
  const key = keyOf(relationship, given.trustDomain)
  const read = readDocument(given.trustDomain, given.document)
  const previous = await findCurrent(trx, meshId, key)
  const before =
    previous === undefined ? undefined : readDocument(given.trustDomain, previous.document).bundle
  await retireCurrent(trx, meshId, { key, to: 'superseded', at: given.context.now })
  await insertGiven(trx, meshId, { key, read, context: given.context })
  await restartPoll(trx, meshId, { key, now: given.context.now })
  const diff = diffBundles(before, read.bundle)
  await recordAudit(trx, {
    meshId,
    actor: given.context.actor,
    action: 'peer-bundle.set',
    object: `relationship/${relationship.name}/bundles/${given.trustDomain}`,
    at: given.context.now,
    body: {
      trustDomain: given.trustDomain,
      sequenceBefore: before?.sequence ?? null,
      sequence: read.bundle.sequence ?? null,
      digest: Buffer.from(read.digest).toString('hex'),
      ...diff,
      skipped: read.skipped.length,
      signedBy: signedBy ?? null,
    },
  })
  const { actor, now: at } = given.context
  await recordTrust(trx, relationship, { event: 'peer-bundle.set', actor, at })
  await activateIfReady(trx, relationship, given.context)
  await bumpChange(trx, meshId, 'relationship')
  return { relationship, read, diff }
}

function keyOf(relationship: Relationship, trustDomain: TrustDomain) {
  if (relationship.state === 'terminated') {
    throw new ServiceError(
      'CONFLICT',
      `relationship ${relationship.name} is terminated; its bundles cannot be set`,
      { next: `entente federation delete ${relationship.name}` },
    )
  }
  if (relationship.domains.some((domain) => domain.trustDomain === trustDomain)) {
    return { relationshipId: relationship.id, trustDomain }
  }
  const known = relationship.domains.map((domain) => domain.trustDomain).join(', ')
  throw new ServiceError(
    'NOT_FOUND',
    `relationship ${relationship.name} has no trust domain ${quoted(trustDomain)}; it has ${known}`,
  )
}
