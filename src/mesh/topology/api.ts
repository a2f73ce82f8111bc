import { type Static, Type } from 'typebox'
import { DryRunQuery } from '../../http/dry-run.ts'
import { MeshParams } from '../api.ts'
import {
  Ended,
  Locality,
  Moment,
  Name,
  Next,
  PlaneLocality,
  Reference,
  State,
  Version,
} from './api-parts.ts'

const MAX_ADDRESS = 262
/** Heartbeats are promised at most once an hour apart: three missed ones then are noticed within the day. */
const MAX_HEARTBEAT_SECONDS = 3600

// Not `kind`: documents of `apply` have that word for themselves.
const PlaneType = Type.Enum(['primary', 'external', 'managed'], {
  description: 'primary: in a cluster of the mesh; external: in none; managed: run by a provider',
})
const SniMode = Type.Enum(['auto-passthrough', 'hostname'])
const Heartbeat = Type.Union(
  [Type.Integer({ minimum: 1, maximum: MAX_HEARTBEAT_SECONDS }), Type.Null()],
  {
    description: 'how often it promises to be heard; null: nobody listens, and it counts as alive',
  },
)
const Address = Type.String({ minLength: 1, maxLength: MAX_ADDRESS })
const Port = Type.Integer({ minimum: 1, maximum: 65_535 })
const Weight = Type.Integer({ minimum: 1, maximum: 1000 })

/** Query of the deletion of what something may use. */
export const DeleteQuery = Type.Object(
  {
    ...DryRunQuery.properties,
    force: Type.Optional(Type.Boolean({ description: 'delete although something uses it' })),
  },
  { additionalProperties: false },
)

/** Path of a control plane, network or gateway. */
export const NameParams = Type.Object({ ...MeshParams.properties, name: Reference })

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
