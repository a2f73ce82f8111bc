import { type Static, Type } from 'typebox'
import { MeshParams } from '../api.ts'
import { Name, Reference, Locality, State, Version, Next, Ended } from './api-parts.ts'
import { STANDINGS } from './control-plane-order.ts'

/** Most networks, and most control planes, of one cluster. */
const MAX_LINKS = 64
const Role = Type.Enum(['primary', 'remote'])
const Networks = Type.Array(Reference, { maxItems: MAX_LINKS })
const ControlPlanes = Type.Array(Reference, {
  maxItems: MAX_LINKS,
  description: 'control planes that it uses, by rank: the first comes first',
})

/** Path of a cluster. */
export const ClusterParams = Type.Object({ ...MeshParams.properties, cluster: Reference })

/** Body of `POST …/clusters`. */
export const CreateClusterBody = Type.Object(
  {
    name: Name,
    role: Role,
    state: Type.Optional(State),
    locality: Type.Optional(Locality),
    networks: Type.Optional(Networks),
    controlPlanes: Type.Optional(ControlPlanes),
    ownControlPlane: Type.Optional(
      Type.String({
        ...Name,
        description: "name of a primary cluster's own control plane; default the cluster's name",
      }),
    ),
  },
  { additionalProperties: false },
)

/** Body of `PATCH …/clusters/{cluster}`; lists and locality are replaced as a whole. */
export const ChangeClusterBody = Type.Object(
  {
    role: Type.Optional(Role),
    state: Type.Optional(State),
    locality: Type.Optional(Locality),
    networks: Type.Optional(Networks),
    controlPlanes: Type.Optional(ControlPlanes),
    ownControlPlane: Type.Optional(Name),
  },
  { additionalProperties: false, minProperties: 1 },
)

/** A cluster with the order in which it tries its control planes. */
export const ClusterDetailBody = Type.Object({
  name: Type.String(),
  role: Role,
  state: State,
  issuing: Type.Enum(['managed', 'delegated']),
  locality: Locality,
  networks: Type.Array(Type.String()),
  controlPlanes: Type.Array(Type.String()),
  controlPlaneOrder: Type.Array(
    Type.Object({
      name: Type.String(),
      address: Type.Union([Type.String(), Type.Null()]),
      standing: Type.Enum([...STANDINGS]),
      rank: Type.Integer(),
      reason: Type.String(),
    }),
  ),
  ...Version,
})
/** A cluster that was just made. */
export const CreatedClusterBody = Type.Object({ ...ClusterDetailBody.properties, ...Next })
/** A cluster that was changed; of one that is disabled what stands still until it is active again. */
export const ChangedClusterBody = Type.Object({
  ...ClusterDetailBody.properties,
  stops: Type.Optional(Ended),
})
/** A cluster that was deleted, and what ended with it. */
export const EndedClusterBody = Type.Object({ ...ClusterDetailBody.properties, ended: Ended })

/** Body of `POST …/clusters/{cluster}/move`. */
export const MoveClusterBody = Type.Object(
  {
    toMesh: Type.String({ maxLength: 63 }),
    networks: Type.Optional(Networks),
    controlPlanes: Type.Optional(ControlPlanes),
  },
  { additionalProperties: false },
)

/** What a move took along, made anew or ended. */
export const MovedClusterBody = Type.Object({
  ...ClusterDetailBody.properties,
  meshId: Type.String({ description: 'the mesh that it is in now' }),
  moved: Type.Array(
    Type.Object({
      kind: Type.String(),
      name: Type.String(),
      becomes: Type.Union([Type.String(), Type.Null()]),
      effect: Type.String(),
    }),
  ),
  ...Next,
})

/** A cluster on the wire. */
export type ClusterView = Static<typeof ClusterDetailBody>
/** The answer to the making of a cluster. */
export type CreatedClusterView = Static<typeof CreatedClusterBody>
/** The answer to the change of a cluster. */
export type ChangedClusterView = Static<typeof ChangedClusterBody>
/** The answer to the move of a cluster. */
export type MovedClusterView = Static<typeof MovedClusterBody>
