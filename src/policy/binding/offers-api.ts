import { type Static, Type } from 'typebox'
import { OfferBody, PortBody } from '../../catalog/api.ts'
import { BINDING_STATES } from './bindings.ts'

const OrNull = Type.Union([Type.String(), Type.Null()])
const State = Type.Enum([...BINDING_STATES], {
  description:
    'offered, imported, not-imported; hidden by a deny or while the relationship is not active; conflict: another service has its name',
})
const ConflictsWith = Type.Union(
  [Type.Object({ service: OrNull, ruleId: OrNull, ruleName: OrNull }), Type.Null()],
  {
    description:
      'the service that keeps the name, and the rule that gave it; null in it = not for you to know',
  },
)

/** A peer's offer, and what this mesh makes of it. */
export const ImportedOfferBody = Type.Object({
  ...OfferBody.properties,
  imported: Type.Boolean({ description: 'whether anybody of this mesh may see it' }),
  state: State,
  hostname: Type.String({ description: 'its name here' }),
  visibleTo: Type.Array(Type.String(), {
    description: 'namespaces of ours that see it; "*" = all',
  }),
  clusters: Type.Array(Type.String(), {
    description: 'clusters of ours whose workloads may call it; "*" = all',
  }),
  ruleId: OrNull,
  ruleName: Type.Union([Type.String(), Type.Null()], {
    description: 'what its author calls that rule',
  }),
  reason: Type.String({ description: 'what decided' }),
  conflictsWith: ConflictsWith,
  next: Type.Array(Type.String({ description: 'what would import it, or free its name' })),
})

/** A service of ours that some rule allows a peer. */
export const ExportBody = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  state: State,
  exportedName: Type.String({ description: 'namespace/name, as the peer knows it' }),
  ports: Type.Array(PortBody, { description: 'ports that the peer may call' }),
  serverIds: Type.Array(Type.String(), { description: 'identities that may serve it' }),
  callers: Type.Array(Type.String(), { description: "paths of the peer's SPIFFE IDs; * = all" }),
  refused: Type.Array(Type.String(), { description: 'of these callers, those kept out' }),
  clusters: Type.Array(Type.String(), {
    description: 'clusters of ours that serve it to the peer; "*" = all',
  }),
  ruleId: OrNull,
  ruleName: Type.Union([Type.String(), Type.Null()], {
    description: 'what its author calls that rule',
  }),
  reason: Type.String({ description: 'what decided' }),
  conflictsWith: ConflictsWith,
})

/** An offer with what this mesh makes of it, on the wire. */
export type ImportedOfferView = Static<typeof ImportedOfferBody>
/** A service shown to a peer, on the wire. */
export type ExportView = Static<typeof ExportBody>
