import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { bumpChange } from '../../db/changes.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { looksSigned } from '../../pki/signed-bundle.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type ReadDocument, readDocument } from '../poll/accept-bundle.ts'
import { activateIfReady } from '../activate.ts'
import { type BundleDiff, diffBundles } from '../trust/bundle-diff.ts'
import { insertGiven } from './insert-given.ts'
import { lockRelationship } from '../find-relationship.ts'
import { bundleFingerprint, parseFingerprint } from '../invite/fingerprint.ts'
import { openSigned } from '../recovery/open-signed.ts'
import { restartPoll } from '../poll/poll-store.ts'
import { recordTrust } from '../trust/record-trust.ts'
import { type Relationship } from '../relationship.ts'
import { findCurrent, retireCurrent } from './revision-store.ts'

/** A bundle that somebody brought over another way. */
export interface SetBundle {
  readonly name: string
  readonly trustDomain: TrustDomain
  /** A SPIFFE bundle, or a signed bundle as its text. */
  readonly document: Uint8Array
  /** What two people compared aloud; the bundle must have exactly this fingerprint. */
  readonly fingerprint?: string | undefined
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
 * fetched ones; one that is signed proves itself and counts as verified. Throws NOT_FOUND, CONFLICT when the
 * relationship is over, BUNDLE_MALFORMED, FINGERPRINT_DIFFERS, and what {@link openSigned} throws.
 */
export async function setBundle(trx: Db, meshId: MeshId, given: SetBundle): Promise<BundleSet> {
  const relationship = await lockRelationship(trx, meshId, given.name)
  const key = keyOf(relationship, given.trustDomain)
  const { document, signedBy } = await documentOf(trx, relationship, given)
  const read = readDocument(given.trustDomain, document)
  checkFingerprint(read, given.fingerprint)
  const previous = await findCurrent(trx, meshId, key)
  const before =
    previous === undefined ? undefined : readDocument(given.trustDomain, previous.document).bundle
  await retireCurrent(trx, meshId, { key, to: 'superseded', at: given.context.now })
  await insertGiven(trx, meshId, { key, read, context: given.context, signedBy })
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

async function documentOf(
  trx: Db,
  relationship: Relationship,
  { document, trustDomain, context }: SetBundle,
): Promise<{ readonly document: Uint8Array; readonly signedBy?: 'recovery-key' | 'svid' }> {
  const token = new TextDecoder().decode(document)
  if (!looksSigned(token)) return { document }
  const brought = { relationship, trustDomain, token, now: context.now }
  const opened = await openSigned(trx, relationship.meshId, brought)
  return { document: opened.document, signedBy: opened.provenBy }
}

function checkFingerprint({ bundle }: ReadDocument, wanted: string | undefined): void {
  if (wanted === undefined) return
  const found = bundleFingerprint(bundle)
  if (found === parseFingerprint(wanted)) return
  throw new ServiceError(
    'FINGERPRINT_DIFFERS',
    `the bundle of ${bundle.trustDomain} has the fingerprint ${found}, wanted ${quoted(wanted)}; nothing was set`,
    { next: 'compare again with the other side, over a way that nobody else controls' },
  )
}

function keyOf(relationship: Relationship, trustDomain: TrustDomain) {
  if (relationship.state === 'terminated') {
    throw new ServiceError(
      'CONFLICT',
      `relationship ${relationship.name} is terminated; its bundles cannot be set`,
      { next: `entente federation delete ${relationship.name}` },
    )
  }
  const found = relationship.domains.find((domain) => domain.trustDomain === trustDomain)
  if (found?.source === 'local') {
    throw new ServiceError(
      'CONFLICT',
      `the bundle of ${trustDomain} is read where this service publishes it and cannot be set`,
      { next: `entente federation show ${relationship.name}` },
    )
  }
  if (found !== undefined) {
    return { relationshipId: relationship.id, trustDomain }
  }
  const known = relationship.domains.map((domain) => domain.trustDomain).join(', ')
  throw new ServiceError(
    'NOT_FOUND',
    `relationship ${relationship.name} has no trust domain ${quoted(trustDomain)}; it has ${known}`,
  )
}
