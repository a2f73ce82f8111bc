import { type Insertable, type Selectable } from 'kysely'
import { type RuleTable } from '../../db/schema-policy.ts'
import { draftOf, readRule, type RuleContent, type RuleDraft, type StoredRule } from './rule.ts'

/** The columns of a rule. */
export const RULE = [
  'id',
  'direction',
  'effect',
  'subject',
  'audience',
  'callers',
  'priority',
  'expires_at',
  'note',
  'name',
  'clusters',
  'as_namespace',
  'as_name',
  'visible_to',
  'owner_scope',
  'version',
  'created_at',
  'names_since',
] as const

/** A row with the columns of {@link RULE}. */
export type RuleRow = Pick<Selectable<RuleTable>, (typeof RULE)[number]>

/** Names of whom a rule's audience is made of. */
export interface AudienceNames {
  readonly relationships: readonly string[]
  readonly groups: readonly string[]
}

type ChangingColumn = Exclude<
  keyof Insertable<RuleTable>,
  'mesh_id' | 'id' | 'direction' | 'version' | 'created_at' | 'names_since'
>

/** What of a rule can change, as its columns hold it. */
export function columnsOf(rule: RuleContent): Pick<Insertable<RuleTable>, ChangingColumn> {
  const { effect, subject, audience, priority = 0, expiresAt, note, ...draft } = draftOf(rule)
  return {
    effect,
    subject: JSON.stringify(subject),
    audience: audience.kind,
    callers: jsonOrNull(audience.callers),
    priority,
    expires_at: expiresAt ?? null,
    note: note ?? null,
    name: draft.name ?? null,
    clusters: jsonOrNull(draft.clusters),
    as_namespace: draft.as?.namespace ?? null,
    as_name: draft.as?.name ?? null,
    visible_to: jsonOrNull(draft.visibleTo),
    owner_scope: jsonOrNull(draft.ownerScope),
  }
}

/** The rule in a row. */
export function ruleOf(row: RuleRow, { relationships, groups }: AudienceNames): StoredRule {
  const { as_namespace: namespace, as_name: name } = row
  const draft: RuleDraft = {
    direction: row.direction,
    effect: row.effect,
    subject: row.subject as unknown as RuleDraft['subject'],
    audience: {
      kind: row.audience,
      relationships,
      groups,
      ...(row.callers !== null && { callers: row.callers }),
    },
    priority: row.priority,
    ...(row.name !== null && { name: row.name }),
    ...(row.clusters !== null && { clusters: row.clusters }),
    ...((namespace ?? name) !== null && {
      as: { ...(namespace !== null && { namespace }), ...(name !== null && { name }) },
    }),
    ...(row.visible_to !== null && { visibleTo: row.visible_to }),
    ...(row.owner_scope !== null && { ownerScope: row.owner_scope }),
    ...(row.expires_at !== null && { expiresAt: row.expires_at }),
    ...(row.note !== null && { note: row.note }),
  }
  return {
    ...readRule(draft),
    id: row.id,
    version: row.version,
    createdAt: row.created_at,
    namesSince: row.names_since,
  }
}

function jsonOrNull(value: object | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value)
}
