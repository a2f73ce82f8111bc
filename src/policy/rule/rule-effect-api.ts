import { type Static, Type } from 'typebox'
import { CHANGE_KINDS } from './rule-changes.ts'

/** What a rule's subject comes to for its audience, all rules considered. */
export const RuleEffectBody = Type.Object({
  reaches: Type.Array(
    Type.Object({
      peer: Type.String({ description: 'a relationship, or "self"' }),
      count: Type.Integer({ description: 'how many services are visible' }),
      services: Type.Array(Type.String(), { description: 'the first 20 of them' }),
    }),
  ),
  notActive: Type.Array(
    Type.Object({ peer: Type.String(), state: Type.String(), reason: Type.String() }),
  ),
  withheld: Type.Array(
    Type.Object({ peer: Type.String(), service: Type.String(), reason: Type.String() }),
    { description: 'services that the rule speaks of and that stay hidden; the first 20' },
  ),
  complete: Type.Boolean({ description: 'false when a rule of enormous reach was sampled' }),
})

/** What a change of a rule does, per peer. */
export const RuleChangesBody = Type.Object({
  peers: Type.Array(
    Type.Object({
      peer: Type.String({ description: 'a relationship, or "self"' }),
      counts: Type.Object({
        visible: Type.Integer(),
        hidden: Type.Integer(),
        renamed: Type.Integer(),
        allowed: Type.Integer(),
        denied: Type.Integer(),
      }),
      items: Type.Array(
        Type.Object({
          kind: Type.Enum([...CHANGE_KINDS]),
          subject: Type.String({ description: 'namespace/name, or "identity" and a pattern' }),
          name: Type.Optional(Type.String({ description: 'its name there' })),
          was: Type.Optional(Type.String({ description: 'its name before' })),
          who: Type.Array(Type.String(), {
            description: 'paths of callers, "port NAME", "namespace NAME"',
          }),
        }),
        { description: 'the first 20' },
      ),
    }),
  ),
  complete: Type.Boolean({ description: 'false when a change of enormous reach was sampled' }),
})

/** What a rule comes to, on the wire. */
export type RuleEffectView = Static<typeof RuleEffectBody>
/** What a change of a rule does, on the wire. */
export type RuleChangesView = Static<typeof RuleChangesBody>
