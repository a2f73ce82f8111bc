import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { type BundleProof, readSignedBundle } from '../../pki/signed-bundle.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { checkParties } from './recover-bundle.ts'
import { findRecovery } from './recovery-store.ts'
import { type Relationship } from '../relationship.ts'
import { findCurrent, findNewestVerified } from '../peer-bundle/revision-store.ts'

/** A signed bundle that somebody brought, and the domain that it is to be set for. */
export interface BroughtSigned {
  readonly relationship: Relationship
  readonly trustDomain: TrustDomain
  readonly token: string
  readonly now: Date
}

/**
 * Proves a signed bundle by the domain's pinned recovery keys or, while what is stored still verifies it, by its
 * pinned endpoint SVID, and gives the document in it.
 *
 * Throws SIGNED_BUNDLE_REFUSED, and BUNDLE_SEQUENCE_REGRESSED for one older than what was fetched or signed before,
 * so that a kept copy brings no old trust back (FE-37).
 */
export async function openSigned(
  trx: Db,
  meshId: MeshId,
  brought: BroughtSigned,
): Promise<{ readonly document: Uint8Array; readonly provenBy: 'recovery-key' | 'svid' }> {
  const { trustDomain, relationship, token } = brought
  const { bundle, provenBy } = readSignedBundle(token, await proofFor(trx, meshId, brought))
  await checkParties(trx, { meshId, trustDomain }, bundle)
  const { sequence } = readDocument(trustDomain, bundle.document).bundle
  if (sequence !== bundle.sequence) {
    throw new ServiceError(
      'SIGNED_BUNDLE_REFUSED',
      'signed bundle tells another sequence than the bundle in it',
    )
  }
  const key = { relationshipId: relationship.id, trustDomain }
  const newest = await findNewestVerified(trx, meshId, key)
  if (newest?.sequence !== undefined && sequence !== undefined && sequence < newest.sequence) {
    throw new ServiceError(
      'BUNDLE_SEQUENCE_REGRESSED',
      `signed bundle of ${trustDomain} has sequence ${sequence}, and ${newest.sequence} was accepted before; the stored one stays`,
      { next: 'ask the peer for a new one: entente bundle show --signed' },
    )
  }
  return { document: bundle.document, provenBy }
}

async function proofFor(
  trx: Db,
  meshId: MeshId,
  { relationship, trustDomain, now }: BroughtSigned,
): Promise<BundleProof> {
  const key = { relationshipId: relationship.id, trustDomain }
  const paths = await findRecovery(trx, meshId, key)
  const recoveryKeys = paths.flatMap((path) =>
    path.kind === 'signed-bundle' ? [path.publicKey] : [],
  )
  const id = relationship.domains.find((one) => one.trustDomain === trustDomain)?.endpointId
  const current = await findCurrent(trx, meshId, key)
  if (id === undefined || current === undefined || trustDomainOf(id) !== trustDomain) {
    return { recoveryKeys, endpoint: undefined, now }
  }
  const { digests } = await loadDistrust(trx, meshId)
  const { bundle } = readDocument(trustDomain, current.document)
  const anchors = effectiveBundle(bundle, digests).x509Authorities.map((one) => one.certificate)
  const anchorsOf = (of: TrustDomain) => (of === trustDomain ? anchors : undefined)
  return { recoveryKeys, endpoint: { id, anchorsOf, now }, now }
}
