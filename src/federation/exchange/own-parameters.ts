import { readersOfRelationship } from '../../bundle/readers.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { isServiceError } from '../../errors.ts'
import { type OurSide } from '../invite/our-side.ts'
import { type ToldParameters } from './peer-status.ts'
import { digestOfParameters, type ProposedParameters } from '../proposal/proposal.ts'
import { writeRecovery } from '../recovery/recovery.ts'
import { type Relationship } from '../relationship.ts'

/**
 * Our own parameters as one peer should hold them: its own bundle URLs among them. Undefined where another system
 * signs for our primary domain.
 */
export async function ownParameters(
  db: Db,
  meshId: MeshId,
  { side, relationshipId }: { readonly side: OurSide; readonly relationshipId: string },
): Promise<ToldParameters | undefined> {
  const readers = await readersOfRelationship(db, meshId, relationshipId)
  try {
    const told = await side.tell(db, meshId, readers)
    const parameters = {
      domains: told.side.domains.map(({ trustDomain, profile, url, endpointId, recovery }) => ({
        trustDomain,
        source: profile,
        endpointUrl: url,
        recovery: recovery.map(writeRecovery),
        ...(endpointId === undefined ? {} : { endpointSpiffeId: endpointId }),
      })),
      exchange: { ...told.side.exchange },
    }
    return { digest: digestOfParameters(parameters), parameters }
  } catch (error) {
    if (isServiceError(error, 'CONFLICT')) return undefined
    throw error
  }
}

/** The parameters that we have in force about a peer, in the form in which the peer itself tells them. */
export function parametersInForce({ domains, exchange }: Relationship): ProposedParameters {
  return {
    domains: domains.map(({ trustDomain, source, endpointUrl, endpointId, recovery }) => ({
      trustDomain,
      source,
      recovery: recovery.map(writeRecovery),
      ...(endpointUrl === undefined ? {} : { endpointUrl }),
      ...(endpointId === undefined ? {} : { endpointSpiffeId: endpointId }),
    })),
    exchange: exchange === undefined ? undefined : { ...exchange },
  }
}
