import { type Static, Type } from 'typebox'
import { PageQuery } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { MAX_LABEL_VALUE, MAX_LABELS } from './label.ts'
import { MAX_GATEWAYS } from './offer-gateway.ts'
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

// Anything: its syntax is judged with a sentence that says what is wanted.
const LabelKey = Type.String()
const LabelValue = Type.String({ maxLength: MAX_LABEL_VALUE })
const Labels = Type.Record(LabelKey, LabelValue, {
  maxProperties: MAX_LABELS,
  description: 'labels as Kubernetes has them; rules choose by them',
})
const LabelChange = Type.Record(LabelKey, Type.Union([LabelValue, Type.Null()]), {
  maxProperties: 2 * MAX_LABELS,
  description: 'null takes a label away; others stay',
})

// A part of a locality, as the topology has it.
const Place = Type.String({ pattern: '^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$' })

/** Where a peer's mesh takes calls. */
export const GatewayBody = Type.Object(
  {
    address: Type.String({ minLength: 1, maxLength: 253, description: 'IP address or DNS name' }),
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    region: Type.Optional(Place),
    zone: Type.Optional(Place),
    weight: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'default 1' })),
  },
  { additionalProperties: false },
)

const content = {
  namespace: Label,
  name: Label,
  ports: Ports,
  identities: Identities,
  labels: Type.Optional(Labels),
}

/** Body of `POST /v1/meshes/{meshId}/services`. */
export const CreateServiceBody = Type.Object(content, { additionalProperties: false })

/** Body of an offer entered by hand. */
export const CreateOfferBody = Type.Object(
  {
    ...content,
    gateways: Type.Optional(
      Type.Array(GatewayBody, {
        maxItems: MAX_GATEWAYS,
        description: "where the peer's mesh takes calls for it; never addresses of workloads",
      }),
    ),
  },
  { additionalProperties: false },
)

/** Body of `PATCH /v1/meshes/{meshId}/services/{namespace}/{name}`. */
export const ChangeServiceBody = Type.Object(
  {
    ports: Type.Optional(Ports),
    identities: Type.Optional(Identities),
    labels: Type.Optional(LabelChange),
  },
  { additionalProperties: false, minProperties: 1 },
)

/** A service of a mesh. */
export const ServiceBody = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  ports: Type.Array(PortBody),
  identities: Type.Array(Type.String()),
  labels: Type.Record(Type.String(), Type.String()),
  managedBy: Type.Array(Type.String(), {
    description: 'what keeps it up to date, as k8s:east; empty = people',
  }),
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
  labels: Type.Record(Type.String(), Type.String()),
  gateways: Type.Array(GatewayBody),
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
