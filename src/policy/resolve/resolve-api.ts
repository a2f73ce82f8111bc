import { type Static, Type } from 'typebox'
import { PortBody } from '../../catalog/api.ts'
import { TIERS } from '../../catalog/route/route.ts'
import { DECISIONS } from '../decision/answer.ts'
import { ExplainBody } from '../explain/explain-api.ts'

const Place = Type.String({ minLength: 1, maxLength: 100 })

const consumer = {
  network: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 63,
      description: 'of who asks; default the only one of the cluster, or of the mesh',
    }),
  ),
  cluster: Type.Optional(Type.String({ minLength: 1, maxLength: 63, description: 'of who asks' })),
  region: Type.Optional(
    Type.String({ minLength: 1, maxLength: 100, description: "default the cluster's" }),
  ),
  zone: Type.Optional(Place),
  subzone: Type.Optional(Place),
}

const service = {
  service: Type.String({ maxLength: 127, description: 'namespace/name' }),
  of: Type.Optional(
    Type.String({
      maxLength: 63,
      description: 'the relationship whose service it is; default ours',
    }),
  ),
  port: Type.Optional(
    Type.String({ minLength: 1, maxLength: 63, description: 'name or number; default all' }),
  ),
}

/** Query of `GET /v1/meshes/{meshId}/resolve`. */
export const ResolveQuery = Type.Object(
  {
    ...service,
    ...consumer,
    namespace: Type.Optional(
      Type.String({ minLength: 1, maxLength: 63, description: 'of who asks' }),
    ),
    caller: Type.Optional(
      Type.String({
        maxLength: 2048,
        description: 'SPIFFE ID; with it the question is who may call, without it who may see',
      }),
    ),
    at: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'decides which rules have ended, not what is alive; default now',
      }),
    ),
  },
  { additionalProperties: false },
)

/** Query of `GET /v1/resolve` on the workload listener: who asks is proven by its SVID. */
export const WorkloadResolveQuery = Type.Object(
  { ...service, ...consumer },
  { additionalProperties: false },
)

const OrNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description })

const LocalityBody = Type.Object({
  region: Type.Optional(Type.String()),
  zone: Type.Optional(Type.String()),
  subzone: Type.Optional(Type.String()),
})

const TargetBody = Type.Object({
  address: Type.String(),
  port: Type.Integer(),
  portName: Type.String({ description: 'the port of the service that is reached there' }),
  viaGateway: OrNull("the gateway, a peer's as address:port; null = an address of the service"),
  sni: OrNull('what TLS must name; null = an address of the service'),
  network: OrNull("null for a peer's gateway"),
  cluster: OrNull('of the endpoint, or the one that runs the gateway'),
  locality: LocalityBody,
  weight: Type.Integer({ description: 'against others for the same port in this answer' }),
})

const GroupBody = Type.Object({
  tier: Type.Integer({ description: '1 is to be tried first' }),
  kind: Type.Enum([...TIERS]),
  why: Type.String(),
  targets: Type.Array(TargetBody),
  truncated: Type.Boolean({ description: 'whether there are more than 1,000' }),
})

/** The ways to a service. */
const RouteBody = Type.Object({
  hostname: OrNull("the peer's service as this mesh names it"),
  serverIds: Type.Array(Type.String(), {
    description: 'identities that a client must require of the server',
  }),
  ports: Type.Array(PortBody),
  noRoute: OrNull('why there is no way; null when there is one'),
  groups: Type.Array(GroupBody, { description: 'to be tried in this order' }),
  unreached: Type.Array(
    Type.Object({ network: Type.String(), endpoints: Type.Integer(), reason: Type.String() }),
    { description: 'living endpoints that who asks cannot reach' },
  ),
})

const ConsumerBody = Type.Object({
  network: Type.String(),
  cluster: Type.Union([Type.String(), Type.Null()]),
  namespace: Type.Union([Type.String(), Type.Null()]),
  caller: Type.Union([Type.String(), Type.Null()]),
  locality: LocalityBody,
})

/** How a consumer reaches a service, or why it may not. */
export const ResolveBody = Type.Object({
  service: Type.String(),
  of: Type.Union([Type.String(), Type.Null()]),
  consumer: ConsumerBody,
  decision: Type.Enum([...DECISIONS]),
  question: ExplainBody.properties.question,
  steps: Type.Array(ExplainBody.properties.steps.items, {
    description: 'none for whoever does not speak for the service',
  }),
  undecided: ExplainBody.properties.undecided,
  route: Type.Union([RouteBody, Type.Null()], { description: 'null on a deny' }),
  at: Type.String({ format: 'date-time' }),
  revision: ExplainBody.properties.revision,
  next: ExplainBody.properties.next,
})

/** How a workload reaches a service that it may call. */
export const WorkloadResolveBody = Type.Object({
  service: Type.String(),
  of: Type.Union([Type.String(), Type.Null()]),
  consumer: ConsumerBody,
  ...RouteBody.properties,
})

/** The answer to somebody who has the current one already. */
export const Unchanged = Type.Null({ description: 'what If-None-Match names is current' })

/** The question about ways, on the wire. */
export type ResolveQueryView = Static<typeof ResolveQuery>
/** The answer to a question about ways, on the wire. */
export type ResolveView = Static<typeof ResolveBody>
/** The ways to a service, on the wire. */
export type RouteView = Static<typeof RouteBody>
/** The answer to a workload, on the wire. */
export type WorkloadResolveView = Static<typeof WorkloadResolveBody>
