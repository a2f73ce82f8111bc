import { type Static, Type } from 'typebox'

/** What a rule's subject comes to for its audience, all rules considered. */
export const RuleEffectBody = Type.Object({
  reaches: Type.Array(
    Type.Object({
      peer: Type.String({ description: 'a relationship, or "self"' }),
      count: Type.Integer({ description: 'how many services are visible, also those not named' }),
      services: Type.Array(Type.String(), { description: 'the first 20 of them, by name' }),
    }),
  ),
  notActive: Type.Array(
    Type.Object({ peer: Type.String(), state: Type.String(), reason: Type.String() }),
  ),
  withheld: Type.Array(
    Type.Object({ peer: Type.String(), service: Type.String(), reason: Type.String() }),
    { description: 'services that the rule speaks of and that stay hidden; the first 20' },
  ),
  complete: Type.Boolean({
    description:
      'false when there are more than a million pairs of a service and a peer, and only the first services of each peer were counted',
  }),
})

/** What a rule comes to, on the wire. */
export type RuleEffectView = Static<typeof RuleEffectBody>
