import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpObjects } from '../db/changes.ts'
import { isForeignKeyViolation } from '../db/failures.ts'
import { type MeshId, newId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type FieldError, quoted, ServiceError } from '../errors.ts'
import { relationshipsOf } from '../federation/find-relationship.ts'
import { loadMesh } from '../mesh/find-mesh.ts'
import { checkRule, draftOf, readRule, type RuleDraft, ruleLine } from './rule.ts'
import * as store from './store.ts'
import { type StoredRule } from './store.ts'

/**
 * Adds a rule, in the caller's transaction.
 *
 * Throws NOT_FOUND for the mesh, RULE_INVALID also for relationships that the mesh does not have.
 */
export async function createRule(
  trx: Db,
  meshId: MeshId,
  { draft, context }: { readonly draft: RuleDraft; readonly context: ChangeContext },
): Promise<StoredRule> {
  await loadMesh(trx, meshId)
  checkRule(draft, context.now)
  const peerIds = await peerIdsOf(trx, meshId, draft)
  const rule = { ...readRule(draft), id: newId(), version: 1n, createdAt: context.now }
  await orUnknownPeer(() => store.insertRule(trx, meshId, { rule, peerIds }))
  await settle(trx, meshId, { context, action: 'rule.create', rule, body: audited(rule) })
  return rule
}

/** What of a rule can change; its direction cannot, `null` takes an end or a note away. */
export interface RuleChange extends Partial<
  Pick<RuleDraft, 'effect' | 'subject' | 'audience' | 'priority'>
> {
  readonly expiresAt?: Date | null
  readonly note?: string | null
}

/** A change of a rule that somebody looked at. */
export interface RuleEdit {
  readonly id: string
  readonly context: ChangeContext
  /** Refuses when the caller did not see the version that is there. */
  readonly requireVersion: (version: bigint) => void
}

/** Changes a rule, in the caller's transaction; throws NOT_FOUND, RULE_INVALID, PRECONDITION_FAILED. */
export async function changeRule(
  trx: Db,
  meshId: MeshId,
  { id, change, context, requireVersion }: RuleEdit & { readonly change: RuleChange },
): Promise<StoredRule> {
  const before = await lockedRule(trx, meshId, id)
  requireVersion(before.version)
  const draft = changed(draftOf(before), change)
  checkRule(draft, context.now, Object.keys(change) as (keyof RuleDraft)[])
  const peerIds = await peerIdsOf(trx, meshId, draft)
  const rule = { ...before, ...readRule(draft), version: before.version + 1n }
  await orUnknownPeer(() => store.updateRule(trx, meshId, { rule, peerIds }))
  const body = { before: audited(before), after: audited(rule) }
  await settle(trx, meshId, { context, action: 'rule.update', rule, body })
  return rule
}

/** Deletes a rule, in the caller's transaction; throws NOT_FOUND, PRECONDITION_FAILED. */
export async function deleteRule(
  trx: Db,
  meshId: MeshId,
  { id, context, requireVersion }: RuleEdit,
): Promise<StoredRule> {
  const rule = await lockedRule(trx, meshId, id)
  requireVersion(rule.version)
  await store.deleteRule(trx, meshId, id)
  await settle(trx, meshId, { context, action: 'rule.delete', rule, body: audited(rule) })
  return rule
}

/** The refusal for a rule that does not exist. */
export function noSuchRule(meshId: MeshId, id: string): ServiceError {
  return new ServiceError('NOT_FOUND', `mesh ${meshId} has no rule ${quoted(id)}`, {
    next: 'entente rule list',
  })
}

async function lockedRule(trx: Db, meshId: MeshId, id: string): Promise<StoredRule> {
  await loadMesh(trx, meshId)
  const rule = await store.lockRule(trx, meshId, id)
  if (rule === undefined) throw noSuchRule(meshId, id)
  return rule
}

function changed(draft: RuleDraft, { expiresAt, note, ...change }: RuleChange): RuleDraft {
  const { expiresAt: oldEnd, note: oldNote, ...kept } = draft
  const end = expiresAt === undefined ? oldEnd : (expiresAt ?? undefined)
  const remark = note === undefined ? oldNote : (note ?? undefined)
  return {
    ...kept,
    ...change,
    ...(end !== undefined && { expiresAt: end }),
    ...(remark !== undefined && { note: remark }),
  }
}

async function peerIdsOf(trx: Db, meshId: MeshId, { audience }: RuleDraft): Promise<string[]> {
  const { relationships = [] } = audience
  if (relationships.length === 0) return []
  const ids = new Map((await relationshipsOf(trx, meshId)).map(({ name, id }) => [name, id]))
  const fields = relationships.flatMap((name, index): FieldError[] =>
    ids.has(name)
      ? []
      : [
          {
            in: 'body',
            pointer: `/audience/relationships/${index}`,
            detail: `there is no relationship ${quoted(name)}`,
          },
        ],
  )
  const [first] = fields
  if (first !== undefined) throw unknownPeer(first.detail, fields)
  return relationships.flatMap((name) => ids.get(name) ?? [])
}

// The relationship was deleted between our look and our write.
async function orUnknownPeer(write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    if (isForeignKeyViolation(error))
      throw unknownPeer('a relationship named was deleted meanwhile')
    throw error
  }
}

function unknownPeer(detail: string, fields: readonly FieldError[] = []): ServiceError {
  return new ServiceError('RULE_INVALID', detail, { fields, next: 'entente federation list' })
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
    rule: ruleLine(rule),
    priority: rule.priority,
    expiresAt: rule.expiresAt ?? null,
    note: rule.note ?? null,
  }
}
