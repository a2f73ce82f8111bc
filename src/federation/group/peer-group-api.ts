import { type Static, Type } from 'typebox'
import { MeshParams } from '../../mesh/api.ts'
import { PeerChangesBody } from './peer-changes-api.ts'

/** Most members of one group; beyond that, everybody is meant. */
const MAX_MEMBERS = 500

const Name = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'unique in the mesh, and never changed',
})
const Note = Type.String({ maxLength: 2000 })

const Member = Type.Union([
  Type.Object(
    { relationship: Type.String({ maxLength: 63, description: 'our name for the peer' }) },
    { additionalProperties: false },
  ),
  Type.Object(
    { self: Type.Literal(true, { description: 'this mesh itself' }) },
    { additionalProperties: false },
  ),
])
const Members = Type.Array(Member, {
  maxItems: MAX_MEMBERS,
  description: 'in order of rank, the first before all others',
})

/** Body of `POST …/peer-groups`. */
export const CreatePeerGroupBody = Type.Object(
  { name: Name, note: Type.Optional(Note), members: Members },
  { additionalProperties: false },
)

/** Body of `PATCH …/peer-groups/{name}`; members are replaced as a whole, null takes a note away. */
export const ChangePeerGroupBody = Type.Object(
  {
    note: Type.Optional(Type.Union([Note, Type.Null()])),
    members: Type.Optional(Members),
  },
  { additionalProperties: false, minProperties: 1 },
)

/** A group of peers. */
export const PeerGroupBody = Type.Object({
  name: Type.String(),
  note: Type.Union([Type.String(), Type.Null()]),
  members: Type.Array(Member),
  version: Type.String(),
  createdAt: Type.String({ format: 'date-time' }),
})

/** A group that was just made, and what to do with it. */
export const CreatedPeerGroupBody = Type.Object({
  ...PeerGroupBody.properties,
  next: Type.Array(Type.String({ description: 'a useful command' })),
})

/** A group that was changed, and what who came or went gains or loses by rules. */
export const ChangedPeerGroupBody = Type.Object({
  ...PeerGroupBody.properties,
  changes: PeerChangesBody,
})

/** A group that was deleted (or would be), what loses it, and what its members gain or lose by rules. */
export const EndedPeerGroupBody = Type.Object({
  ...ChangedPeerGroupBody.properties,
  ended: Type.Array(
    Type.Object({
      kind: Type.String(),
      name: Type.String(),
      effect: Type.String(),
      blocks: Type.Boolean({ description: 'needs force=true' }),
    }),
  ),
})

/** Path of a group. */
export const PeerGroupParams = Type.Object({
  ...MeshParams.properties,
  name: Type.String({ maxLength: 63 }),
})

/** A group on the wire. */
export type PeerGroupView = Static<typeof PeerGroupBody>
/** A member of a group on the wire. */
export type PeerGroupMemberView = PeerGroupView['members'][number]
/** The answer to the making of a group. */
export type CreatedPeerGroupView = Static<typeof CreatedPeerGroupBody>
/** The answer to the change of a group. */
export type ChangedPeerGroupView = Static<typeof ChangedPeerGroupBody>
/** The answer to the deletion of a group. */
export type EndedPeerGroupView = Static<typeof EndedPeerGroupBody>
