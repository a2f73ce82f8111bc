import { type MeshEnder } from '../mesh/hooks.ts'
import { changeStanding } from './change-standing.ts'
import { findRelationshipLocked } from './find-relationship.ts'
import { consents } from './local/local-consent.ts'
import { listPeerMeshes } from './local/local-store.ts'
import { listRelationships } from './store.ts'

/** Ends a mesh's relationships with other meshes of this service, so that those are suspended with it. */
export const endWithMesh: MeshEnder = async (trx, meshId, context) => {
  for (const { name } of await listRelationships(trx, meshId)) {
    if ((await listPeerMeshes(trx, meshId, name)).length === 0) continue
    const relationship = await findRelationshipLocked(trx, meshId, name)
    if (relationship === undefined || !consents(relationship)) continue
    const reason = 'its mesh is deleted'
    await changeStanding(trx, relationship, { event: 'terminate', context, reason })
  }
}
