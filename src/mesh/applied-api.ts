import { type Static, Type } from 'typebox'
import { PageQuery } from '../http/page.ts'
import { MeshParams } from './api.ts'

const Owner = Type.String({
  pattern: '^[a-z0-9][a-z0-9._-]{0,62}$',
  description: 'who applies these documents: a repository, a pipeline, a team',
})
const Digest = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'SHA-256 of the applied document, hex',
})

/** Body of `PUT /v1/meshes/{meshId}/applied/{kind}/{name}`. */
export const RecordAppliedBody = Type.Object(
  {
    owner: Owner,
    digest: Digest,
    takeOver: Type.Optional(
      Type.Boolean({ description: 'also when another owner applied the object before' }),
    ),
  },
  { additionalProperties: false },
)

/** Who applied an object from a file. */
export const AppliedBody = Type.Object({
  kind: Type.String(),
  name: Type.String(),
  objectId: Type.String({
    description:
      'tells the object from others of its name, also from a later one; of a rule its id',
  }),
  owner: Type.String(),
  digest: Type.String(),
  appliedAt: Type.String({ format: 'date-time' }),
  prunable: Type.Boolean({
    description: 'whether who recorded it for this owner may end it; else it is not pruned',
  }),
})

/** Query of the list of applied objects. */
export const AppliedQuery = Type.Object(
  { ...PageQuery.properties, owner: Type.Optional(Owner) },
  { additionalProperties: false },
)

/** Path of an applied object. */
export const AppliedParams = Type.Object({
  ...MeshParams.properties,
  kind: Type.String({ maxLength: 63 }),
  name: Type.String({ maxLength: 255 }),
})

/** Who applied an object, on the wire. */
export type AppliedView = Static<typeof AppliedBody>
