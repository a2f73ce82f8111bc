import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type RelationshipDomainView } from '../api.ts'
import { type PeerReaders } from '../create-relationship.ts'
import { type Relationship, type RelationshipDomain } from '../relationship.ts'
import { listRelayActivity, type RelayActivity } from './relay-store.ts'

/** The members of a domain that tell of its relay. */
export type RelayMembers = Pick<RelationshipDomainView, 'relayUrl' | 'relay'>

/** Reads once how the relays of these relationships were used; answers with a function from domain to members. */
export async function relaysOf(
  { db, readers }: { readonly db: Db; readonly readers: Pick<PeerReaders, 'relayUrls'> },
  meshId: MeshId,
  relationships: readonly Relationship[],
): Promise<(domain: RelationshipDomain) => RelayMembers> {
  const urlOf = await readers.relayUrls(db, meshId)
  const ids = relationships.flatMap(({ domains }) => domains.map(({ relayId }) => relayId))
  const activities = await listRelayActivity(db, meshId, ids)
  return ({ relayId }) => ({
    relayUrl: urlOf(relayId),
    relay: viewActivity(activities.get(relayId)),
  })
}

function viewActivity(activity: RelayActivity | undefined): RelayMembers['relay'] {
  if (activity === undefined) return null
  return {
    sequence: activity.sequence.toString(),
    fetches: activity.fetches.toString(),
    lastAt: activity.lastAt?.toISOString() ?? null,
  }
}
