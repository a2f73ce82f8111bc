import { type RuleEffectView, type RuleView } from './api.ts'
import { draftOf, ruleLine } from './rule.ts'
import { type RuleEffect } from './rule-effect.ts'
import { serviceKey } from './snapshot.ts'
import { type StoredRule } from './store.ts'

/** A rule as the wire has it. */
export function viewRule(rule: StoredRule): RuleView {
  const { direction, effect, subject, audience, priority = 0, note = null } = draftOf(rule)
  return {
    id: rule.id,
    direction,
    effect,
    subject,
    audience: viewAudience(audience),
    priority,
    expiresAt: rule.expiresAt?.toISOString() ?? null,
    note,
    line: ruleLine(rule),
    version: String(rule.version),
    createdAt: rule.createdAt.toISOString(),
  }
}

/** What a rule comes to, as the wire has it. */
export function viewEffect(effect: RuleEffect): RuleEffectView {
  return {
    reaches: effect.reaches.map(({ peer, count, services }) => ({
      peer,
      count,
      services: services.map(serviceKey),
    })),
    notActive: effect.notActive.map((one) => ({ ...one })),
    withheld: effect.withheld.map((one) => ({ ...one })),
    complete: effect.complete,
  }
}

function viewAudience({
  kind,
  relationships,
  callers,
}: ReturnType<typeof draftOf>['audience']): RuleView['audience'] {
  return {
    kind,
    ...(relationships !== undefined && { relationships: [...relationships] }),
    ...(callers !== undefined && {
      callers: { namespaces: [...(callers.namespaces ?? [])], paths: [...(callers.paths ?? [])] },
    }),
  }
}
