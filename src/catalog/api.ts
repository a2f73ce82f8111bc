import { type Static, Type } from 'typebox'
import { PageQuery } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { MAX_IDENTITIES, MAX_PORTS, PROTOCOLS } from './service.ts'

const Label = Type.String({ minLength: 1, maxLength: 63, description: 'a DNS label' })

/** A port of a service. */
export const PortBody = Type.Object(
  {
    name: Label,
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    protocol: Type.Optional(Type.Enum([...PROTOCOLS])),
  },
  { additionalProperties: false },
)

const Ports = Type.Array(PortBody, { minItems: 1, maxItems: MAX_PORTS })
const Identities = Type.Array(Type.String({ maxLength: 2048 }), {
  minItems: 1,
  maxItems: MAX_IDENTITIES,
  description:
    'SPIFFE IDs that may serve it; a bare path stands in the first trust domain of the owner',
})

/** Body of `POST /v1/meshes/{meshId}/services`, and of an offer entered by hand. */
export const CreateServiceBody = Type.Object(
  { namespace: Label, name: Label, ports: Ports, identities: Identities },
  { additionalProperties: false },
)

/** Body of `PATCH /v1/meshes/{meshId}/services/{namespace}/{name}`. */
export const ChangeServiceBody = Type.Object(
  { ports: Type.Optional(Ports), identities: Type.Optional(Identities) },
  { additionalProperties: false, minProperties: 1 },
)

/** A service of a mesh. */
export const ServiceBody = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  ports: Type.Array(PortBody),
  identities: Type.Array(Type.String()),
  version: Type.String(),
  createdAt: Type.String({ format: 'date-time' }),
})

/** A service that was just made, and what to do with it. */
export const CreatedServiceBody = Type.Object({
  ...ServiceBody.properties,
  next: Type.Array(Type.String({ description: 'a useful command' })),
})

/** A service that a peer shows us: its claim, or entered by hand. */
export const OfferBody = Type.Object({
  relationship: Type.String(),
  namespace: Type.String(),
  name: Type.String(),
  ports: Type.Array(PortBody),
  identities: Type.Array(Type.String()),
  source: Type.Enum(['manual', 'exchange']),
  createdAt: Type.String({ format: 'date-time' }),
})

/** An offer that was just entered, and what to do with it. */
export const CreatedOfferBody = Type.Object({
  ...OfferBody.properties,
  next: Type.Array(Type.String({ description: 'a useful command' })),
})

/** Query of the list of services. */
export const ServicesQuery = Type.Object(
  { ...PageQuery.properties, namespace: Type.Optional(Label) },
  { additionalProperties: false },
)

/** Path of a service. */
export const ServiceParams = Type.Object({
  ...MeshParams.properties,
  namespace: Label,
  name: Label,
})
/** Path of a relationship's offers. */
export const OffersParams = Type.Object({ ...MeshParams.properties, relationship: Label })
/** Path of an offer. */
export const OfferParams = Type.Object({
  ...OffersParams.properties,
  namespace: Label,
  name: Label,
})

/** A service on the wire. */
export type ServiceView = Static<typeof ServiceBody>
/** The answer to the creation of a service. */
export type CreatedServiceView = Static<typeof CreatedServiceBody>
/** An offer on the wire. */
export type OfferView = Static<typeof OfferBody>
/** The answer to the entry of an offer. */
export type CreatedOfferView = Static<typeof CreatedOfferBody>
