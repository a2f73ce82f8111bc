import { type Insertable, type Selectable } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import { type RuleTable } from '../db/schema-policy.ts'
import { type Db } from '../db/schema.ts'
import { type Revisions } from './snapshot.ts'
import { draftOf, readRule, type Rule, type RuleContent, type RuleDraft } from './rule.ts'

/** A rule with the version that a change must name. */
export interface StoredRule extends Rule {
  readonly version: bigint
}

const RULE = [
  'id',
  'direction',
  'effect',
  'subject',
  'audience',
  'callers',
  'priority',
  'expires_at',
  'note',
  'version',
  'created_at',
] as const

type RuleRow = Pick<Selectable<RuleTable>, (typeof RULE)[number]>

/** Stores a new rule; `peerIds` are the relationships that its audience names. */
export async function insertRule(
  trx: Db,
  meshId: MeshId,
  { rule, peerIds }: { readonly rule: StoredRule; readonly peerIds: readonly string[] },
): Promise<void> {
  const { id, direction, version, createdAt: created_at } = rule
  await trx
    .insertInto('rule')
    .values({ mesh_id: meshId, id, direction, version, created_at, ...columnsOf(rule) })
    .execute()
  await insertPeers(trx, meshId, { id, peerIds })
}

/** Writes what of a rule can change. */
export async function updateRule(
  trx: Db,
  meshId: MeshId,
  { rule, peerIds }: { readonly rule: StoredRule; readonly peerIds: readonly string[] },
): Promise<void> {
  await trx
    .updateTable('rule')
    .set({ version: rule.version, ...columnsOf(rule) })
    .where('mesh_id', '=', meshId)
    .where('id', '=', rule.id)
    .execute()
  await trx
    .deleteFrom('rule_peer')
    .where('mesh_id', '=', meshId)
    .where('rule_id', '=', rule.id)
    .execute()
  await insertPeers(trx, meshId, { id: rule.id, peerIds })
}

/** Deletes a rule. */
export async function deleteRule(trx: Db, meshId: MeshId, id: string): Promise<void> {
  await trx.deleteFrom('rule').where('mesh_id', '=', meshId).where('id', '=', id).execute()
}

/** The rule with this id. */
export async function findRule(
  db: Db,
  meshId: MeshId,
  id: string,
): Promise<StoredRule | undefined> {
  const row = await db
    .selectFrom('rule')
    .select(RULE)
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .executeTakeFirst()
  return row === undefined ? undefined : (await withPeers(db, meshId, [row]))[0]
}

/** The rule with this id, locked until the transaction ends. */
export async function lockRule(
  trx: Db,
  meshId: MeshId,
  id: string,
): Promise<StoredRule | undefined> {
  const row = await trx
    .selectFrom('rule')
    .select(RULE)
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : (await withPeers(trx, meshId, [row]))[0]
}

/** Which part of a list is wanted. */
export interface RulePage {
  readonly direction?: 'export' | 'import' | undefined
  /** Just these. */
  readonly ids?: readonly string[] | undefined
  readonly after?: string | undefined
  readonly limit?: number | undefined
}

/** Rules by id. */
export async function listRules(db: Db, meshId: MeshId, page: RulePage): Promise<StoredRule[]> {
  let query = db.selectFrom('rule').select(RULE).where('mesh_id', '=', meshId).orderBy('id')
  if (page.direction !== undefined) query = query.where('direction', '=', page.direction)
  if (page.ids !== undefined) query = query.where('id', 'in', page.ids)
  if (page.after !== undefined) query = query.where('id', '>', page.after)
  if (page.limit !== undefined) query = query.limit(page.limit)
  return withPeers(db, meshId, await query.execute())
}

/** The rules that name a relationship, by id. */
export async function rulesNaming(
  db: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<StoredRule[]> {
  const rows = await db
    .selectFrom('rule')
    .select(RULE)
    .where('mesh_id', '=', meshId)
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('rule_peer')
        .select('rule_id')
        .where('mesh_id', '=', meshId)
        .where('relationship_id', '=', relationshipId),
    )
    .orderBy('id')
    .execute()
  return withPeers(db, meshId, rows)
}

/** How many rules a mesh has. */
export async function countRules(db: Db, meshId: MeshId): Promise<number> {
  const { count } = await db
    .selectFrom('rule')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .where('mesh_id', '=', meshId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** How far what decisions of a mesh depend on has come. */
export async function readRevisions(db: Db, meshId: MeshId): Promise<Revisions> {
  const rows = await db
    .selectFrom('change')
    .select(['topic', 'revision'])
    .where('mesh_id', '=', meshId)
    .where('topic', 'in', ['mesh', 'relationship', 'rule'])
    .execute()
  const of = (topic: string): bigint => rows.find((row) => row.topic === topic)?.revision ?? 0n
  return { mesh: of('mesh'), relationship: of('relationship'), rule: of('rule') }
}

type ChangingColumn =
  'effect' | 'subject' | 'audience' | 'callers' | 'priority' | 'expires_at' | 'note'

function columnsOf(rule: RuleContent): Pick<Insertable<RuleTable>, ChangingColumn> {
  const { effect, subject, audience, priority = 0, expiresAt, note } = draftOf(rule)
  return {
    effect,
    subject: JSON.stringify(subject),
    audience: audience.kind,
    callers: audience.callers === undefined ? null : JSON.stringify(audience.callers),
    priority,
    expires_at: expiresAt ?? null,
    note: note ?? null,
  }
}

async function insertPeers(
  trx: Db,
  meshId: MeshId,
  { id, peerIds }: { readonly id: string; readonly peerIds: readonly string[] },
): Promise<void> {
  if (peerIds.length === 0) return
  await trx
    .insertInto('rule_peer')
    .values(peerIds.map((peerId) => ({ mesh_id: meshId, rule_id: id, relationship_id: peerId })))
    .execute()
}

// Names are joined in at reading, so a relationship that is renamed takes its rules along.
async function withPeers(db: Db, meshId: MeshId, rows: readonly RuleRow[]): Promise<StoredRule[]> {
  const named = rows.filter((row) => row.audience === 'peers')
  const byRule = new Map<string, string[]>()
  if (named.length > 0) {
    for (const { rule_id: id, name } of await peersOfRules(db, meshId, named)) {
      const names = byRule.get(id)
      if (names === undefined) byRule.set(id, [name])
      else names.push(name)
    }
  }
  return rows.map((row) => ruleOf(row, byRule.get(row.id) ?? []))
}

/** Most rules that are worth naming one by one; more are read with all peers of the mesh. */
const NAMED = 500

async function peersOfRules(
  db: Db,
  meshId: MeshId,
  rows: readonly RuleRow[],
): Promise<{ rule_id: string; name: string }[]> {
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
  if (rows.length <= NAMED) {
    query = query.where(
      'rule_peer.rule_id',
      'in',
      rows.map((row) => row.id),
    )
  }
  return query.execute()
}

function ruleOf(row: RuleRow, relationships: readonly string[]): StoredRule {
  const draft: RuleDraft = {
    direction: row.direction,
    effect: row.effect,
    subject: row.subject as unknown as RuleDraft['subject'],
    audience: {
      kind: row.audience,
      relationships,
      ...(row.callers !== null && { callers: row.callers }),
    },
    priority: row.priority,
    ...(row.expires_at !== null && { expiresAt: row.expires_at }),
    ...(row.note !== null && { note: row.note }),
  }
  return { ...readRule(draft), id: row.id, version: row.version, createdAt: row.created_at }
}
