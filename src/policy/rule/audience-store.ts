import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type RuleRow, ruleOf } from './rule-row-store.ts'
import { type StoredRule } from './rule.ts'

/** A rule, and the ids of the relationships that its audience names. */
export interface RuleWrite {
  readonly rule: StoredRule
  readonly peerIds: readonly string[]
}

/** Stores whom a rule's audience names; throws a foreign key violation for what is gone. */
export async function insertAudience(
  trx: Db,
  meshId: MeshId,
  { rule, peerIds }: RuleWrite,
): Promise<void> {
  const key = { mesh_id: meshId, rule_id: rule.id }
  if (peerIds.length > 0) {
    const rows = peerIds.map((id) => ({ ...key, relationship_id: id }))
    await trx.insertInto('rule_peer').values(rows).execute()
  }
  const { groups } = rule.audience
  if (groups.length > 0) {
    const rows = groups.map((name) => ({ ...key, group_name: name }))
    await trx.insertInto('rule_group').values(rows).execute()
  }
}

/** Takes away whom a rule's audience names. */
export async function deleteAudience(trx: Db, meshId: MeshId, ruleId: string): Promise<void> {
  for (const table of ['rule_peer', 'rule_group'] as const) {
    await trx
      .deleteFrom(table)
      .where('mesh_id', '=', meshId)
      .where('rule_id', '=', ruleId)
      .execute()
  }
}

/** Rows as rules. Names are joined in at reading, so a relationship that is renamed takes its rules along. */
export async function withAudiences(
  db: Db,
  meshId: MeshId,
  rows: readonly RuleRow[],
): Promise<StoredRule[]> {
  const ids = rows.filter((row) => row.audience === 'peers').map(({ id }) => id)
  const peers = byRule(ids.length === 0 ? [] : await peersOfRules(db, meshId, ids))
  const groups = byRule(ids.length === 0 ? [] : await groupsOfRules(db, meshId, ids))
  return rows.map((row) =>
    ruleOf(row, { relationships: peers.get(row.id) ?? [], groups: groups.get(row.id) ?? [] }),
  )
}

/** Most rules that are worth naming one by one; more are read with all peers of the mesh. */
const NAMED = 500

interface Named {
  readonly rule_id: string
  readonly name: string
}

function peersOfRules(db: Db, meshId: MeshId, ids: readonly string[]): Promise<Named[]> {
  let query = db
    .selectFrom('rule_peer')
    .innerJoin('relationship', (join) =>
      join
        .onRef('relationship.mesh_id', '=', 'rule_peer.mesh_id')
        .onRef('relationship.id', '=', 'rule_peer.relationship_id'),
    )
    .select(['rule_peer.rule_id', 'relationship.name'])
    .where('rule_peer.mesh_id', '=', meshId)
    .orderBy('relationship.name')
  if (ids.length <= NAMED) query = query.where('rule_peer.rule_id', 'in', ids)
  return query.execute()
}

function groupsOfRules(db: Db, meshId: MeshId, ids: readonly string[]): Promise<Named[]> {
  let query = db
    .selectFrom('rule_group')
    .select(['rule_id', 'group_name as name'])
    .where('mesh_id', '=', meshId)
    .orderBy('group_name')
  if (ids.length <= NAMED) query = query.where('rule_id', 'in', ids)
  return query.execute()
}

function byRule(rows: readonly Named[]): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const { rule_id: id, name } of rows) {
    const names = found.get(id)
    if (names === undefined) found.set(id, [name])
    else names.push(name)
  }
  return found
}
