import { type AppliedKind } from '../mesh/applied-object.ts'
import { groupsMadeAt, relationshipsNamed } from './group/peer-group-store.ts'

/** The kind `Relationship`. */
export const appliedRelationships: AppliedKind = relationshipsNamed

/** The kind `PeerGroup`: groups are told by the moment they were made. */
export const appliedPeerGroups: AppliedKind = groupsMadeAt
