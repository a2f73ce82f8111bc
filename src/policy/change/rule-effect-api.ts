import { type Static, Type } from 'typebox'
import { PeerChangesBody } from '../../federation/group/peer-changes-api.ts'
import { RuleBody } from '../rule/rule-api.ts'

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

/** A rule that was deleted, and what that does. */
export const DeletedRuleBody = Type.Object({ ...RuleBody.properties, changes: PeerChangesBody })

/** A rule that was just made or changed, what it comes to, and what to do with it. */
export const RuleOutcomeBody = Type.Object({
  ...RuleBody.properties,
  effectNow: RuleEffectBody,
  changes: PeerChangesBody,
  next: Type.Array(
    Type.String({ description: 'a useful command; "# at globex:" marks one for a peer' }),
  ),
})

/** What a rule comes to, on the wire. */
export type RuleEffectView = Static<typeof RuleEffectBody>
/** The answer to the creation or change of a rule. */
export type RuleOutcomeView = Static<typeof RuleOutcomeBody>
/** A rule that was deleted, on the wire. */
export type DeletedRuleView = Static<typeof DeletedRuleBody>
