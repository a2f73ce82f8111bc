import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import { isUniqueViolation } from '../db/failures.ts'
import { isLabel, type MeshId } from '../db/ids.ts'
import { type ChangePolicy, type Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { auditedRelationship } from './audited-relationship.ts'
import { lockRelationship } from './find-relationship.ts'
import { checkHintRange, localIsAuto } from './parse-domains.ts'
import { type HintRange, type Relationship } from './relationship.ts'
import { kept, mergeOwnerData, type OwnerDraft } from './owner-data.ts'
import { updateRelationship } from './store.ts'

/** What of a relationship can change; its domains, URLs, profiles and IDs cannot (FE-08). */
export interface RelationshipChange extends HintRange, OwnerDraft {
  readonly name?: string | undefined
  readonly changePolicy?: ChangePolicy | undefined
}

/** A change, on whose word, and the refusal of a stale one. */
export interface ChangeRelationship {
  readonly change: RelationshipChange
  readonly context: ChangeContext
  /** Throws PRECONDITION_REQUIRED or PRECONDITION_FAILED. */
  readonly requireVersion: (version: bigint) => void
}

/** Changes name, owner data, policy or hint limits. Throws NOT_FOUND, RELATIONSHIP_INVALID, ALREADY_EXISTS, CONFLICT. */
export async function changeRelationship(
  trx: Db,
  meshId: MeshId,
  target: ChangeRelationship & { readonly name: string },
): Promise<Relationship> {
  const before = await lockRelationship(trx, meshId, target.name)
  target.requireVersion(before.version)
  if (before.state === 'terminated') throw isOver(before)
  const after = changed(before, target.change, target.context.now)
  await updateNamed(trx, after)
  await recordAudit(trx, {
    meshId,
    actor: target.context.actor,
    action: 'relationship.update',
    object: `relationship/${before.name}`,
    at: target.context.now,
    body: { before: auditedRelationship(before), after: auditedRelationship(after) },
  })
  await bumpChange(trx, meshId, 'relationship')
  return after
}

function changed(before: Relationship, change: RelationshipChange, now: Date): Relationship {
  if (change.name !== undefined && !isLabel(change.name)) {
    throw new ServiceError(
      'RELATIONSHIP_INVALID',
      `relationship name ${quoted(change.name)} must be a DNS label: 1 to 63 of a-z, 0-9 and -`,
    )
  }
  const after: Relationship = {
    ...before,
    ...mergeOwnerData(change, { before, now }),
    name: change.name ?? before.name,
    changePolicy: change.changePolicy ?? before.changePolicy,
    hintMinSeconds: kept(change.hintMinSeconds, before.hintMinSeconds),
    hintMaxSeconds: kept(change.hintMaxSeconds, before.hintMaxSeconds),
    version: before.version + 1n,
  }
  checkHintRange(after)
  const isLocal = after.domains.some(({ source }) => source === 'local')
  if (isLocal && after.changePolicy !== 'auto') throw localIsAuto(after.changePolicy)
  return after
}

async function updateNamed(trx: Db, after: Relationship): Promise<void> {
  try {
    await updateRelationship(trx, after)
  } catch (cause) {
    if (!isUniqueViolation(cause)) throw cause
    throw new ServiceError(
      'ALREADY_EXISTS',
      `this mesh already has a relationship named ${quoted(after.name)}`,
      { cause },
    )
  }
}

function isOver(relationship: Relationship): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `relationship ${relationship.name} is terminated; it can only be deleted`,
    { next: `entente federation delete ${relationship.name}` },
  )
}
