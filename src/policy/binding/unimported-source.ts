import { command } from '../../errors.ts'
import { type Condition } from '../../federation/alert/alert-conditions.ts'
import { type AlertSource, meshAlertSource } from '../../federation/alert/alert-source.ts'
import { bound } from './bindings.ts'
import { listOfferedMeshes } from './offering-meshes-store.ts'
import { serviceKey, type Snapshot, type SnapshotRelationship } from '../snapshot/snapshot.ts'
import { type Snapshots } from '../snapshot/snapshots.ts'

/** Services that a message names. */
const MOST_NAMED = 3

/**
 * Tells of active peers that offer services which no import rule of ours takes in and none denies, with the command
 * that imports the first of them.
 */
export function unimportedSource(snapshots: Pick<Snapshots, 'current'>): AlertSource {
  return meshAlertSource({
    subjects: listOfferedMeshes,
    conditions: async (_, { meshId }, now) => {
      const snapshot = await snapshots.current(meshId)
      return [...snapshot.relationships.values()]
        .filter(({ state }) => state === 'active')
        .flatMap((peer) => unimported(snapshot, peer, now))
    },
  })
}

function unimported(snapshot: Snapshot, peer: SnapshotRelationship, now: Date): Condition[] {
  const names = bound(snapshot, peer.name, now)
    .filter(({ state }) => state === 'not-imported')
    .map(({ subject }) => serviceKey(subject))
  const [first] = names
  if (first === undefined) return []
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : ''
  const listed = `${names.slice(0, MOST_NAMED).join(', ')}${more}`
  return [
    {
      meshId: snapshot.meshId,
      relationshipId: peer.id,
      code: 'offers.not-imported',
      object: peer.name,
      severity: 'info',
      message: `${peer.name} offers what we do not import: ${listed}; ${command`entente rule import ${first} --from ${peer.name}`}`,
    },
  ]
}
