import { type MeshId } from '../db/ids.ts'
import { lockMeshes } from '../db/lock-meshes.ts'
import { type Db, type RelationshipState } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { listMeshesOf, listPeerMeshes } from './local/local-store.ts'
import { waitingFor } from './poll/waiting.ts'
import { type Relationship } from './relationship.ts'
import { fetchedDomains } from './peer-bundle/revision-store.ts'
import * as store from './store.ts'

/** What other features need to know of a relationship. */
export interface RelationshipSummary {
  readonly id: string
  readonly name: string
  readonly state: RelationshipState
  readonly trustDomains: readonly TrustDomain[]
  /** What it waits for until it is active; empty once it is, or over. */
  readonly waitingFor: readonly string[]
}

/** All relationships of a mesh with peers by name, whatever their state. */
export async function relationshipsOf(db: Db, meshId: MeshId): Promise<RelationshipSummary[]> {
  const summaries: RelationshipSummary[] = []
  for (const relationship of await store.listRelationships(db, meshId)) {
    if (relationship.purpose !== 'peer') continue
    summaries.push({
      id: relationship.id,
      name: relationship.name,
      state: relationship.state,
      trustDomains: relationship.domains.map(({ trustDomain }) => trustDomain),
      waitingFor: await whatItWaitsFor(db, relationship),
    })
  }
  return summaries
}

/** What a relationship waits for; one statement, and none for an active one. */
export async function whatItWaitsFor(db: Db, relationship: Relationship): Promise<string[]> {
  if (relationship.state === 'active' || relationship.state === 'terminated') return []
  return waitingFor(relationship, await fetchedDomains(db, relationship.meshId, relationship.id))
}

/** To which other mesh of this service each of these trust domains belongs; those of none are left out. */
export async function meshesWith(
  db: Db,
  meshId: MeshId,
  trustDomains: readonly TrustDomain[],
): Promise<Map<TrustDomain, MeshId>> {
  return listMeshesOf(db, meshId, trustDomains)
}

/** The relationship of this name; throws NOT_FOUND. */
export async function loadRelationship(
  db: Db,
  meshId: MeshId,
  name: string,
): Promise<Relationship> {
  const found = await store.findRelationship(db, meshId, name)
  if (found === undefined) throw noSuchRelationship(meshId, name)
  return found
}

/** The relationship of this name, locked until the transaction ends; throws NOT_FOUND. */
export async function lockRelationship(
  trx: Db,
  meshId: MeshId,
  name: string,
): Promise<Relationship> {
  const found = await findRelationshipLocked(trx, meshId, name)
  if (found === undefined) throw noSuchRelationship(meshId, name)
  return found
}

/**
 * The relationship of this name if there is one, locked until the transaction ends; with it, in a fixed order, the
 * meshes of this service whose side may have to agree with a change of ours.
 */
export async function findRelationshipLocked(
  trx: Db,
  meshId: MeshId,
  name: string,
): Promise<Relationship | undefined> {
  const peers = await listPeerMeshes(trx, meshId, name)
  if (peers.length > 0) await lockMeshes(trx, [meshId, ...peers])
  return store.lockRelationship(trx, meshId, name)
}

function noSuchRelationship(meshId: MeshId, name: string): ServiceError {
  return new ServiceError(
    'NOT_FOUND',
    `mesh ${quoted(meshId)} has no relationship ${quoted(name)}`,
    { next: 'entente federation list' },
  )
}
