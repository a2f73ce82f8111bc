import { type Static, Type } from 'typebox'
import { DryRunQuery } from '../../http/dry-run.ts'
import { MeshParams } from '../api.ts'
import { STANDINGS } from './control-plane-order.ts'
import { MAX_LOCALITY } from './locality.ts'

/** Most networks, and most control planes, of one cluster. */
const MAX_LINKS = 64
const MAX_ADDRESS = 262
/** Heartbeats are promised at most once an hour apart: three missed ones then are noticed within the day. */
const MAX_HEARTBEAT_SECONDS = 3600

/** The name of a cluster, network, gateway or control plane. */
const Name = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'a DNS label, unique in the mesh and never changed',
})
const Reference = Type.String({ minLength: 1, maxLength: 63 })
const Part = Type.String({ minLength: 1, maxLength: MAX_LOCALITY })
const Locality = Type.Object(
  { region: Type.Optional(Part), zone: Type.Optional(Part), subzone: Type.Optional(Part) },
  { additionalProperties: false, description: 'a zone lies in a region, a subzone in a zone' },
)
const PlaneLocality = Type.Object(
  { region: Type.Optional(Part), zone: Type.Optional(Part) },
  { additionalProperties: false, description: 'default that of the cluster that it runs in' },
)
const State = Type.Enum(['active', 'draining', 'disabled'])
const Role = Type.Enum(['primary', 'remote'])
// Not `kind`: documents of `apply` have that word for themselves.
const PlaneType = Type.Enum(['primary', 'external', 'managed'], {
  description: 'primary: in a cluster of the mesh; external: in none; managed: run by a provider',
})
const SniMode = Type.Enum(['auto-passthrough', 'hostname'])
const Networks = Type.Array(Reference, { maxItems: MAX_LINKS })
const ControlPlanes = Type.Array(Reference, {
  maxItems: MAX_LINKS,
  description: 'control planes that it uses, by rank: the first comes first',
})
const Heartbeat = Type.Union(
  [Type.Integer({ minimum: 1, maximum: MAX_HEARTBEAT_SECONDS }), Type.Null()],
  {
    description: 'how often it promises to be heard; null: nobody listens, and it counts as alive',
  },
)
const Address = Type.String({ minLength: 1, maxLength: MAX_ADDRESS })
const Port = Type.Integer({ minimum: 1, maximum: 65_535 })
const Weight = Type.Integer({ minimum: 1, maximum: 1000 })
const Moment = Type.String({ format: 'date-time' })
const Version = { version: Type.String(), createdAt: Moment }
const Next = { next: Type.Array(Type.String({ description: 'a useful command' })) }

/** What ended, or would end, with an object. */
const Ended = Type.Array(
  Type.Object({
    kind: Type.String(),
    name: Type.String(),
    effect: Type.String(),
    blocks: Type.Boolean({ description: 'needs force=true' }),
  }),
)

/** Query of the deletion of what something may use. */
export const DeleteQuery = Type.Object(
  {
    ...DryRunQuery.properties,
    force: Type.Optional(Type.Boolean({ description: 'delete although something uses it' })),
  },
  { additionalProperties: false },
)

/** Path of a cluster. */
export const ClusterParams = Type.Object({ ...MeshParams.properties, cluster: Reference })
/** Path of a control plane, network or gateway. */
export const NameParams = Type.Object({ ...MeshParams.properties, name: Reference })

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

/** Body of `POST …/control-planes`. */
export const CreateControlPlaneBody = Type.Object(
  {
    name: Name,
    type: PlaneType,
    cluster: Type.Optional(Reference),
    address: Type.Optional(Address),
    locality: Type.Optional(PlaneLocality),
    state: Type.Optional(State),
    heartbeatSeconds: Type.Optional(Heartbeat),
  },
  { additionalProperties: false },
)
/** Body of `PATCH …/control-planes/{name}`. */
export const ChangeControlPlaneBody = Type.Object(
  {
    address: Type.Optional(Type.Union([Address, Type.Null()])),
    locality: Type.Optional(PlaneLocality),
    state: Type.Optional(State),
    heartbeatSeconds: Type.Optional(Heartbeat),
  },
  { additionalProperties: false, minProperties: 1 },
)
const Heard = {
  heartbeatSeconds: Heartbeat,
  seenAt: Type.Union([Moment, Type.Null()]),
  isHeard: Type.Boolean({ description: 'heard within three of its promised heartbeats' }),
}
/** A control plane. */
export const ControlPlaneBody = Type.Object({
  name: Type.String(),
  type: PlaneType,
  cluster: Type.Union([Type.String(), Type.Null()]),
  address: Type.Union([Type.String(), Type.Null()]),
  locality: PlaneLocality,
  state: State,
  ...Heard,
  ...Version,
})
/** A control plane that was just made. */
export const CreatedControlPlaneBody = Type.Object({ ...ControlPlaneBody.properties, ...Next })
/** A control plane that was deleted, and what loses it. */
export const EndedControlPlaneBody = Type.Object({ ...ControlPlaneBody.properties, ended: Ended })

/** Body of `POST …/networks`. */
export const CreateNetworkBody = Type.Object(
  {
    name: Name,
    directlyReachable: Type.Optional(
      Type.Boolean({
        description: 'whether clusters in it use its addresses; else only its gateways are used',
      }),
    ),
  },
  { additionalProperties: false },
)
/** Body of `PATCH …/networks/{name}`. */
export const ChangeNetworkBody = Type.Object(
  { directlyReachable: Type.Boolean() },
  { additionalProperties: false },
)
/** Body of `PUT …/networks/{name}/shared-name`. */
export const ShareNetworkBody = Type.Object(
  {
    sharedName: Type.Union([Name, Type.Null()], {
      description: 'the same in every mesh that is in this network; null: shared with nobody',
    }),
  },
  { additionalProperties: false },
)
/** A network. */
export const NetworkBody = Type.Object({
  name: Type.String(),
  sharedName: Type.Union([Type.String(), Type.Null()]),
  directlyReachable: Type.Boolean(),
  ...Version,
})
/** A network that was just made. */
export const CreatedNetworkBody = Type.Object({ ...NetworkBody.properties, ...Next })
/** A network that was deleted, and what loses it. */
export const EndedNetworkBody = Type.Object({ ...NetworkBody.properties, ended: Ended })

/** Body of `POST …/gateways`. */
export const CreateGatewayBody = Type.Object(
  {
    name: Name,
    network: Reference,
    cluster: Type.Optional(Reference),
    address: Address,
    port: Port,
    locality: Type.Optional(Locality),
    sniMode: Type.Optional(SniMode),
    weight: Type.Optional(Weight),
    state: Type.Optional(State),
    heartbeatSeconds: Type.Optional(Heartbeat),
  },
  { additionalProperties: false },
)
/** Body of `PATCH …/gateways/{name}`. */
export const ChangeGatewayBody = Type.Object(
  {
    cluster: Type.Optional(Type.Union([Reference, Type.Null()])),
    address: Type.Optional(Address),
    port: Type.Optional(Port),
    locality: Type.Optional(Locality),
    sniMode: Type.Optional(SniMode),
    weight: Type.Optional(Weight),
    state: Type.Optional(State),
    heartbeatSeconds: Type.Optional(Heartbeat),
  },
  { additionalProperties: false, minProperties: 1 },
)
/** A gateway. */
export const GatewayBody = Type.Object({
  name: Type.String(),
  network: Type.String(),
  cluster: Type.Union([Type.String(), Type.Null()]),
  address: Type.String(),
  port: Type.Integer(),
  locality: Locality,
  sniMode: SniMode,
  weight: Type.Integer(),
  state: State,
  ...Heard,
  ...Version,
})
/** A gateway that was just made. */
export const CreatedGatewayBody = Type.Object({ ...GatewayBody.properties, ...Next })
/** A gateway that was deleted, and what loses it. */
export const EndedGatewayBody = Type.Object({ ...GatewayBody.properties, ended: Ended })

/** A cluster on the wire. */
export type ClusterView = Static<typeof ClusterDetailBody>
/** The answer to the making of a cluster. */
export type CreatedClusterView = Static<typeof CreatedClusterBody>
/** The answer to the move of a cluster. */
export type MovedClusterView = Static<typeof MovedClusterBody>
/** A control plane on the wire. */
export type ControlPlaneView = Static<typeof ControlPlaneBody>
/** The answer to the making of a control plane. */
export type CreatedControlPlaneView = Static<typeof CreatedControlPlaneBody>
/** A network on the wire. */
export type NetworkView = Static<typeof NetworkBody>
/** The answer to the making of a network. */
export type CreatedNetworkView = Static<typeof CreatedNetworkBody>
/** A gateway on the wire. */
export type GatewayView = Static<typeof GatewayBody>
/** The answer to the making of a gateway. */
export type CreatedGatewayView = Static<typeof CreatedGatewayBody>
/** What ended with an object. */
export type EndedObjects = Static<typeof Ended>
