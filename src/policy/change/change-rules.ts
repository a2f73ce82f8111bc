import { type OwnerScope } from '../../access/owner-scope.ts'
import { requireQuota } from '../../access/quota/require-quota.ts'
import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { bumpObjects } from '../../db/changes.ts'
import { isUniqueViolation } from '../../db/failures.ts'
import { type MeshId, newId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { command, quoted, ServiceError } from '../../errors.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { checkRule } from '../rule/check-rule.ts'
import { namesSince } from './names-since.ts'
import { ownersOf } from '../rule/owned-rule.ts'
import { orGone, peerIdsOf, requireClusters } from '../rule/rule-references.ts'
import { draftOf, readRule, type RuleDraft, type StoredRule } from '../rule/rule.ts'
import { ruleLine } from '../rule/rule-line.ts'
import * as store from '../rule/rule-store.ts'

/**
 * Adds a rule, in the caller's transaction.
 *
 * Throws NOT_FOUND for the mesh; RULE_INVALID also for relationships, groups and clusters that the mesh does not
 * have; ALREADY_EXISTS for a taken name; FORBIDDEN for what its author may not speak for; QUOTA_EXCEEDED.
 */
export async function createRule(
  trx: Db,
  meshId: MeshId,
  { draft: wanted, context }: { readonly draft: RuleDraft; readonly context: ChangeContext },
): Promise<StoredRule> {
  await loadMesh(trx, meshId)
  checkRule(wanted, context.now)
  const draft = { ...wanted, ...ownersOf(wanted, context.ownerScope) }
  await requireQuota(trx, meshId, { kind: 'rules', namespaces: draft.ownerScope ?? [] })
  await requireClusters(trx, meshId, draft)
  const peerIds = await peerIdsOf(trx, meshId, draft)
  const rule = { ...readRule(draft), id: newId(), version: 1n, createdAt: context.now }
  await orRefused(rule, () => store.insertRule(trx, meshId, { rule, peerIds }))
  await settle(trx, meshId, { context, action: 'rule.create', rule, body: audited(rule) })
  return rule
}

/** Members of a rule that can be taken away: `null` does. */
const REMOVABLE = [
  'name',
  'clusters',
  'as',
  'visibleTo',
  'expiresAt',
  'ownerScope',
  'note',
] as const

/** What of a rule can change; its direction cannot. */
export type RuleChange = Partial<
  Pick<RuleDraft, 'effect' | 'subject' | 'audience' | 'priority'>
> & {
  readonly [Member in (typeof REMOVABLE)[number]]?: Exclude<RuleDraft[Member], undefined> | null
}

/** A change of a rule that somebody looked at. */
export interface RuleEdit {
  /** Its id or its name. */
  readonly rule: string
  readonly context: ChangeContext
  /** Refuses when the caller did not see the version that is there. */
  readonly requireVersion: (version: bigint) => void
}

/** A rule as it was and as it is. */
export interface ChangedRule {
  readonly before: StoredRule
  readonly rule: StoredRule
}

/**
 * Changes a rule, in the caller's transaction.
 *
 * Throws NOT_FOUND, also for rules that are not the author's; RULE_INVALID, ALREADY_EXISTS, FORBIDDEN,
 * QUOTA_EXCEEDED as {@link createRule}; PRECONDITION_FAILED.
 */
export async function changeRule(
  trx: Db,
  meshId: MeshId,
  { rule: target, change, context, requireVersion }: RuleEdit & { readonly change: RuleChange },
): Promise<ChangedRule> {
  const before = await lockedRule(trx, meshId, { target, context })
  requireVersion(before.version)
  const wanted = changed(draftOf(before), change)
  const touched = Object.keys(change) as (keyof RuleDraft)[]
  checkRule(wanted, context.now, touched)
  const draft = { ...wanted, ...ownersOf(wanted, context.ownerScope) }
  await requireRoomFor(trx, meshId, { before, draft })
  if (touched.includes('clusters')) await requireClusters(trx, meshId, draft)
  const peerIds = await peerIdsOf(trx, meshId, draft)
  const content = readRule(draft)
  const since = namesSince({ before, after: content, now: context.now })
  const rule = { ...before, ...content, version: before.version + 1n, namesSince: since }
  await orRefused(rule, () => store.updateRule(trx, meshId, { rule, peerIds }))
  const body = { before: audited(before), after: audited(rule) }
  await settle(trx, meshId, { context, action: 'rule.update', rule, body })
  return { before, rule }
}

// In the mesh a rule that changes counts already, in namespaces that come to own it not yet.
async function requireRoomFor(
  trx: Db,
  meshId: MeshId,
  { before, draft }: { readonly before: StoredRule; readonly draft: RuleDraft },
): Promise<void> {
  const { ownerScope = [] } = draft
  const namespaces = ownerScope.filter((name) => before.ownerScope?.includes(name) !== true)
  if (namespaces.length === 0) return
  await requireQuota(trx, meshId, { kind: 'rules', namespaces, count: 0 })
}

/** Deletes a rule, in the caller's transaction; throws NOT_FOUND, PRECONDITION_FAILED. */
export async function deleteRule(
  trx: Db,
  meshId: MeshId,
  { rule: target, context, requireVersion }: RuleEdit,
): Promise<StoredRule> {
  const rule = await lockedRule(trx, meshId, { target, context })
  requireVersion(rule.version)
  await store.deleteRule(trx, meshId, rule.id)
  await settle(trx, meshId, { context, action: 'rule.delete', rule, body: audited(rule) })
  return rule
}

/** The rule with this id or name, if it is the reader's to see; throws NOT_FOUND. */
export async function loadRule(
  db: Db,
  meshId: MeshId,
  { target, ownerScope }: { readonly target: string; readonly ownerScope?: OwnerScope },
): Promise<StoredRule> {
  await loadMesh(db, meshId)
  return oneOf(meshId, target, await store.findRules(db, meshId, { idOrName: target, ownerScope }))
}

function noSuchRule(meshId: MeshId, target: string): ServiceError {
  return new ServiceError('NOT_FOUND', `mesh ${meshId} has no rule ${quoted(target)}`, {
    next: 'entente rule list',
  })
}

// A rule of others is told from none by nothing.
async function lockedRule(
  trx: Db,
  meshId: MeshId,
  { target, context }: { readonly target: string; readonly context: ChangeContext },
): Promise<StoredRule> {
  await loadMesh(trx, meshId)
  const { ownerScope } = context
  return oneOf(meshId, target, await store.lockRules(trx, meshId, { idOrName: target, ownerScope }))
}

// Authors of namespaces may have given the same name; only a rule of the whole mesh goes before theirs.
function oneOf(meshId: MeshId, target: string, rules: readonly StoredRule[]): StoredRule {
  const [rule, another] = rules
  if (rule === undefined) throw noSuchRule(meshId, target)
  if (another !== undefined && rule.ownerScope !== undefined) {
    throw new ServiceError('CONFLICT', `several namespaces have a rule ${quoted(target)}`, {
      next: 'name it by its id: entente rule list',
    })
  }
  return rule
}

function changed(draft: RuleDraft, change: RuleChange): RuleDraft {
  const removed = new Set<string>(REMOVABLE.filter((member) => change[member] === null))
  const all = Object.entries({ ...draft, ...change })
  return Object.fromEntries(all.filter(([member]) => !removed.has(member))) as unknown as RuleDraft
}

async function orRefused({ name }: StoredRule, write: () => Promise<void>): Promise<void> {
  try {
    await orGone(write)
  } catch (error) {
    if (!isUniqueViolation(error)) throw error
    throw new ServiceError('ALREADY_EXISTS', `a rule is named ${quoted(name ?? '')} already`, {
      cause: error,
      next: command`entente rule show ${name ?? ''}`,
    })
  }
}

interface Settlement {
  readonly context: ChangeContext
  readonly action: 'rule.create' | 'rule.update' | 'rule.delete'
  readonly rule: StoredRule
  readonly body: unknown
}

async function settle(
  trx: Db,
  meshId: MeshId,
  { context, action, rule, body }: Settlement,
): Promise<void> {
  await recordAudit(trx, {
    meshId,
    at: context.now,
    actor: context.actor,
    action,
    object: `rule/${rule.id}`,
    body,
  })
  await bumpObjects(trx, meshId, [{ kind: 'rule', key: rule.id }])
}

function audited(rule: StoredRule): Record<string, unknown> {
  return {
    name: rule.name ?? null,
    rule: ruleLine(rule),
    priority: rule.priority,
    expiresAt: rule.expiresAt ?? null,
    ownerScope: rule.ownerScope ?? null,
    note: rule.note ?? null,
  }
}
