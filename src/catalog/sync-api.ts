import { type Static, Type } from 'typebox'
import { CreateServiceBody } from './api.ts'
import { MAX_SYNCED } from './sync-services.ts'

const Label = Type.String({ minLength: 1, maxLength: 63 })
const Names = Type.Array(Type.String({ description: 'namespace/name' }))

/** Body of `PUT /v1/meshes/{meshId}/clusters/{cluster}/services`. */
export const SyncBody = Type.Object(
  {
    source: Type.Enum(['k8s'], { description: 'what sees them' }),
    services: Type.Array(CreateServiceBody, { maxItems: MAX_SYNCED }),
    kept: Type.Optional(
      Type.Array(Type.Object({ namespace: Label, name: Label }, { additionalProperties: false }), {
        maxItems: MAX_SYNCED,
        description: 'seen, but who serves them is not known now: they stay as they are',
      }),
    ),
    namespaces: Type.Optional(
      Type.Array(Label, {
        minItems: 1,
        maxItems: 1000,
        description: 'the list speaks of these only; default all',
      }),
    ),
    intentional: Type.Optional(
      Type.Boolean({
        description: 'take the list although it is less than half of the one before',
      }),
    ),
  },
  { additionalProperties: false },
)

/** What a sync did, or would do; of each list the first thousand. */
export const SyncedBody = Type.Object({
  created: Names,
  createdCount: Type.Integer(),
  updated: Names,
  updatedCount: Type.Integer(),
  deleted: Names,
  deletedCount: Type.Integer(),
  unchangedCount: Type.Integer(),
  keptByPeople: Names,
  keptByPeopleCount: Type.Integer({ description: 'entered by people, so left alone' }),
})

/** What a sync did, on the wire. */
export type SyncedView = Static<typeof SyncedBody>
