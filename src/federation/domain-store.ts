import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { writeRecovery } from './recovery/recovery.ts'
import { type RelationshipDomain } from './relationship.ts'
import { type DomainKey } from './peer-bundle/revision-store.ts'

/** A domain of a relationship, and which. */
export interface StoredDomain {
  readonly meshId: MeshId
  /** The relationship's. */
  readonly id: string
  readonly domain: RelationshipDomain
}

/** Adds a domain to a relationship; throws a unique violation when the mesh has it already. */
export async function insertDomain(trx: Db, { meshId, id, domain }: StoredDomain): Promise<void> {
  await trx
    .insertInto('relationship_domain')
    .values({
      mesh_id: meshId,
      relationship_id: id,
      trust_domain: domain.trustDomain,
      ...parametersOf(domain),
      reader_id: domain.readerId ?? null,
      relay_id: domain.relayId,
      first_digest: domain.firstDigest ?? null,
    })
    .execute()
}

/** Writes how a domain is fetched. */
export async function updateDomain(trx: Db, { meshId, id, domain }: StoredDomain): Promise<void> {
  await trx
    .updateTable('relationship_domain')
    .set(parametersOf(domain))
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', id)
    .where('trust_domain', '=', domain.trustDomain)
    .execute()
}

/** Takes a domain from a relationship, with its poll and its revisions. */
export async function deleteDomain(trx: Db, meshId: MeshId, key: DomainKey): Promise<void> {
  await trx
    .deleteFrom('relationship_domain')
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', key.relationshipId)
    .where('trust_domain', '=', key.trustDomain)
    .execute()
}

function parametersOf({ source, endpointUrl, endpointId, recovery }: RelationshipDomain) {
  return {
    source,
    endpoint_url: endpointUrl ?? null,
    endpoint_spiffe_id: endpointId ?? null,
    recovery: JSON.stringify(recovery.map(writeRecovery)),
  }
}
