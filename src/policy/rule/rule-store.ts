import { sql } from 'kysely'
import { isId, type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { deleteAudience, insertAudience, type RuleWrite, withAudiences } from './audience-store.ts'
import { columnsOf, RULE } from './rule-row-store.ts'
import { type StoredRule } from './rule.ts'

/** Stores a new rule; throws a unique violation for a taken name. */
export async function insertRule(
  trx: Db,
  meshId: MeshId,
  { rule, peerIds }: RuleWrite,
): Promise<void> {
  const { id, direction, version, createdAt: created_at } = rule
  await trx
    .insertInto('rule')
    .values({ mesh_id: meshId, id, direction, version, created_at, ...columnsOf(rule) })
    .execute()
  await insertAudience(trx, meshId, { rule, peerIds })
}

/** Writes what of a rule can change; throws a unique violation for a taken name. */
export async function updateRule(
  trx: Db,
  meshId: MeshId,
  { rule, peerIds }: RuleWrite,
): Promise<void> {
  await trx
    .updateTable('rule')
    .set({ version: rule.version, names_since: rule.namesSince ?? null, ...columnsOf(rule) })
    .where('mesh_id', '=', meshId)
    .where('id', '=', rule.id)
    .execute()
  await deleteAudience(trx, meshId, rule.id)
  await insertAudience(trx, meshId, { rule, peerIds })
}

/** Deletes a rule. */
export async function deleteRule(trx: Db, meshId: MeshId, id: string): Promise<void> {
  await trx.deleteFrom('rule').where('mesh_id', '=', meshId).where('id', '=', id).execute()
}

/** Which rule is meant, among those whose owner scope lies within; undefined = all. */
export interface RuleTarget {
  readonly idOrName: string
  readonly ownerScope: readonly string[] | undefined
}

/** The rules with this id or name, that of the whole mesh first; names are unique for each owner scope. */
export async function findRules(
  db: Db,
  meshId: MeshId,
  target: RuleTarget,
): Promise<readonly StoredRule[]> {
  return withAudiences(db, meshId, await targetedRules(db, meshId, target).execute())
}

/** As {@link findRules}, locked until the transaction ends. */
export async function lockRules(
  trx: Db,
  meshId: MeshId,
  target: RuleTarget,
): Promise<readonly StoredRule[]> {
  return withAudiences(trx, meshId, await targetedRules(trx, meshId, target).forUpdate().execute())
}

/** The rules of these names with their owners, those of the whole mesh before others. */
export async function rulesNamed(
  db: Db,
  meshId: MeshId,
  names: readonly string[],
): Promise<{ readonly id: string; readonly name: string; readonly owners: readonly string[] }[]> {
  if (names.length === 0) return []
  const rows = await db
    .selectFrom('rule')
    .select(['id', 'name', 'owner_scope'])
    .where('mesh_id', '=', meshId)
    .where('name', 'in', names)
    .orderBy(sql`owner_scope is not null`)
    .orderBy('id')
    .execute()
  return rows.flatMap(({ id, name, owner_scope: owners }) =>
    name === null ? [] : [{ id, name, owners: owners ?? [] }],
  )
}

/** Which part of a list is wanted. */
export interface RulePage {
  readonly direction?: 'export' | 'import' | undefined
  /** Only those whose owner scope lies within; undefined = all. */
  readonly ownerScope?: readonly string[] | undefined
  /** Just these. */
  readonly ids?: readonly string[] | undefined
  readonly after?: string | undefined
  readonly limit?: number | undefined
}

/** Rules by id. */
export async function listRules(db: Db, meshId: MeshId, page: RulePage): Promise<StoredRule[]> {
  let query = allRules(db, meshId)
  if (page.direction !== undefined) query = query.where('direction', '=', page.direction)
  if (page.ownerScope !== undefined) {
    query = query.where(isWithin(page.ownerScope))
  }
  if (page.ids !== undefined) query = query.where('id', 'in', page.ids)
  if (page.after !== undefined) query = query.where('id', '>', page.after)
  if (page.limit !== undefined) query = query.limit(page.limit)
  return withAudiences(db, meshId, await query.execute())
}

/** The rules that name a relationship, by id. */
export async function rulesNaming(
  db: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<StoredRule[]> {
  const ids = db
    .selectFrom('rule_peer')
    .select('rule_id')
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', relationshipId)
  const rows = await allRules(db, meshId).where('id', 'in', ids).execute()
  return withAudiences(db, meshId, rows)
}

/** The rules that name a group of peers, by id. */
export async function rulesNamingGroup(
  db: Db,
  meshId: MeshId,
  group: string,
): Promise<StoredRule[]> {
  const ids = db
    .selectFrom('rule_group')
    .select('rule_id')
    .where('mesh_id', '=', meshId)
    .where('group_name', '=', group)
  const rows = await allRules(db, meshId).where('id', 'in', ids).execute()
  return withAudiences(db, meshId, rows)
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

function allRules(db: Db, meshId: MeshId) {
  return db.selectFrom('rule').select(RULE).where('mesh_id', '=', meshId).orderBy('id')
}

// No name has the form of an id.
function targetedRules(db: Db, meshId: MeshId, { idOrName, ownerScope }: RuleTarget) {
  const query = db
    .selectFrom('rule')
    .select(RULE)
    .where('mesh_id', '=', meshId)
    .where(isId(idOrName) ? 'id' : 'name', '=', idOrName)
    .orderBy(sql`owner_scope is not null`)
    .orderBy('id')
    .limit(2)
  return ownerScope === undefined ? query : query.where(isWithin(ownerScope))
}

function isWithin(ownerScope: readonly string[]) {
  return sql<boolean>`owner_scope <@ ${JSON.stringify(ownerScope)}::jsonb`
}
