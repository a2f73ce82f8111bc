import { currentSequences } from '../bundle/propagation.ts'
import { type Db } from '../db/schema.ts'
import { primaryTrustDomain } from '../mesh/find-mesh.ts'
import { type AuthenticatedPeer, notAuthenticated } from './authenticate-peer.ts'
import { findOurConsent } from './peer-call-store.ts'
import { type PeerStatus, toldConsent } from './peer-status.ts'

/** How we stand to a peer that asks. Throws AUTHENTICATION_REQUIRED when the relationship has just ended. */
export async function ownStatus(
  db: Db,
  { meshId, relationshipId }: AuthenticatedPeer,
): Promise<PeerStatus> {
  const consent = await findOurConsent(db, meshId, relationshipId)
  if (consent === undefined) throw notAuthenticated()
  const { name } = await primaryTrustDomain(db, meshId)
  return {
    trustDomain: name,
    consent: toldConsent(consent),
    bundles: await currentSequences(db, meshId),
    proposal: undefined,
    agreedTo: undefined,
  }
}
