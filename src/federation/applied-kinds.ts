import { ownerScopeOf } from '../access/owner-scope.ts'
import { type AppliedKind, wholeMesh } from '../mesh/applied-object.ts'
import { groupsMadeAt, relationshipsNamed } from './group/peer-group-store.ts'

/** The kind `Relationship`. */
export const appliedRelationships: AppliedKind = {
  read: 'relationship.read',
  write: () => 'relationship.update',
  end: () => 'relationship.terminate',
  scopeOf: ownerScopeOf,
  find: wholeMesh(relationshipsNamed),
}

/** The kind `PeerGroup`: groups are told by the moment they were made. */
export const appliedPeerGroups: AppliedKind = {
  read: 'peer-group.read',
  write: () => 'peer-group.update',
  end: () => 'peer-group.delete',
  scopeOf: ownerScopeOf,
  find: wholeMesh(groupsMadeAt),
}
