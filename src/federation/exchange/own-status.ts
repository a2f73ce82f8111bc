import { currentSequences } from '../../bundle/propagation.ts'
import { type Db } from '../../db/schema.ts'
import { primaryTrustDomain } from '../../mesh/find-mesh.ts'
import { type AuthenticatedPeer, notAuthenticated } from './authenticate-peer.ts'
import { type OurSide } from '../invite/our-side.ts'
import { ownParameters, parametersInForce } from './own-parameters.ts'
import { type PeerStatus, toldConsent } from './peer-status.ts'
import { digestOfParameters } from '../proposal/proposal.ts'
import { findRelationship } from '../store.ts'

/** How we stand to a peer that asks. Throws AUTHENTICATION_REQUIRED when the relationship has just ended. */
export async function ownStatus(
  db: Db,
  { meshId, relationshipId, name }: AuthenticatedPeer,
  side: OurSide,
): Promise<PeerStatus> {
  const relationship = await findRelationship(db, meshId, name)
  const isOver = relationship?.id !== relationshipId || relationship.state === 'terminated'
  if (relationship === undefined || isOver) throw notAuthenticated()
  const primary = await primaryTrustDomain(db, meshId)
  return {
    trustDomain: primary.name,
    consent: toldConsent(relationship.ourConsent),
    bundles: await currentSequences(db, meshId),
    parameters: await ownParameters(db, meshId, { side, relationshipId }),
    holds: digestOfParameters(parametersInForce(relationship)),
  }
}
