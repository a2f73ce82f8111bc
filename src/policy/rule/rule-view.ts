import { type RuleView } from './rule-api.ts'
import { type LabelSelector } from './label-selector.ts'
import { ruleLine } from './rule-line.ts'
import {
  type AudienceDraft,
  draftOf,
  isIdentityDraft,
  type StoredRule,
  type SubjectDraft,
} from './rule.ts'

/** A rule as the wire has it. */
export function viewRule(rule: StoredRule): RuleView {
  const { subject, audience, clusters, as, visibleTo, ownerScope } = draftOf(rule)
  return {
    id: rule.id,
    name: rule.name ?? null,
    direction: rule.direction,
    effect: rule.effect,
    subject: viewSubject(subject),
    audience: viewAudience(audience),
    clusters: listOrNull(clusters),
    as: as === undefined ? null : { ...as },
    visibleTo: listOrNull(visibleTo),
    priority: rule.priority,
    expiresAt: rule.expiresAt?.toISOString() ?? null,
    ownerScope: listOrNull(ownerScope),
    note: rule.note ?? null,
    line: ruleLine(rule),
    version: String(rule.version),
    createdAt: rule.createdAt.toISOString(),
  }
}

function viewSubject(subject: SubjectDraft): RuleView['subject'] {
  if (isIdentityDraft(subject)) return { identity: subject.identity }
  const { namespace, name, labels, ports } = subject
  return {
    namespace,
    name,
    ...(labels !== undefined && { labels: viewSelector(labels) }),
    ...(ports !== undefined && { ports: [...ports] }),
  }
}

function viewSelector({
  matchLabels,
  matchExpressions,
}: LabelSelector): NonNullable<RuleView['subject']['labels']> {
  return {
    ...(matchLabels !== undefined && { matchLabels: { ...matchLabels } }),
    ...(matchExpressions !== undefined && {
      matchExpressions: matchExpressions.map(({ key, operator, values }) => ({
        key,
        operator,
        ...(values !== undefined && { values: [...values] }),
      })),
    }),
  }
}

function viewAudience({
  kind,
  relationships,
  groups,
  callers,
}: AudienceDraft): RuleView['audience'] {
  return {
    kind,
    ...(relationships !== undefined && { relationships: [...relationships] }),
    ...(groups !== undefined && { groups: [...groups] }),
    ...(callers !== undefined && {
      callers: { namespaces: [...(callers.namespaces ?? [])], paths: [...(callers.paths ?? [])] },
    }),
  }
}

function listOrNull(list: readonly string[] | undefined): string[] | null {
  return list === undefined ? null : [...list]
}
