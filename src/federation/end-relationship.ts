import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import { type Dependant, type Dependants } from '../mesh/hooks.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { changeStanding } from './change-standing.ts'
import { auditedRelationship } from './audited-relationship.ts'
import { type PeerReaders } from './create-relationship.ts'
import { lockRelationship } from './find-relationship.ts'
import { type Relationship } from './relationship.ts'
import { deleteRelationship, listRelationships } from './store.ts'
import { listVouchedFor } from './poll/vouching-store.ts'

/** A relationship that somebody is about to end. */
export interface RelationshipTarget {
  readonly kind: 'relationship'
  readonly meshId: MeshId
  readonly relationshipId: string
  readonly name: string
  readonly trustDomains: readonly TrustDomain[]
}

/** Tells what would break when a relationship ends; each higher feature hands one in. */
export type RelationshipDependants = (
  db: Db,
  target: RelationshipTarget,
) => Promise<readonly Dependant[]>

/** An ending, on whose word, and the refusal of a stale one. */
export interface EndRelationship {
  readonly name: string
  readonly context: ChangeContext
  /** For people; shown with the relationship. */
  readonly reason?: string | undefined
  /** Throws PRECONDITION_REQUIRED or PRECONDITION_FAILED. */
  readonly requireVersion: (version: bigint) => void
}

/** A relationship that ended, and what ended with it. */
export interface Ended {
  readonly relationship: Relationship
  readonly ended: readonly Dependant[]
}

/**
 * Ends a relationship: no poll goes out, its bundles are removed and its services gone with the commit (FE-41).
 *
 * Revisions stay as history that no validator reaches, and it stays visible until deleted. The next generation
 * begins here: what a fetch in flight brings is thrown away. Throws NOT_FOUND, and CONFLICT when it is over already.
 */
export async function terminateRelationship(
  trx: Db,
  meshId: MeshId,
  target: EndRelationship & { readonly dependants: readonly RelationshipDependants[] },
): Promise<Ended> {
  const before = await lockRelationship(trx, meshId, target.name)
  target.requireVersion(before.version)
  refuseSource(before)
  return endWith(trx, before, { event: 'terminate', ...target })
}

/** Ends a relationship whose row the caller has locked, by a person or by time. Throws CONFLICT when it is over. */
export async function endWith(
  trx: Db,
  before: Relationship,
  how: Pick<EndRelationship, 'context' | 'reason'> & {
    readonly event: 'terminate' | 'expire'
    readonly dependants: readonly RelationshipDependants[]
  },
): Promise<Ended> {
  const { event, context, reason } = how
  const ended = await dependantsOf(trx, before, how.dependants)
  const body = { ...auditedRelationship(before), ended }
  const relationship = await changeStanding(trx, before, { event, context, reason, body })
  return { relationship, ended }
}

/** Deletes a terminated relationship with its history. Throws NOT_FOUND, and CONFLICT unless it is terminated. */
export async function removeRelationship(
  trx: Db,
  meshId: MeshId,
  target: EndRelationship & { readonly readers: PeerReaders },
): Promise<Relationship> {
  const before = await lockRelationship(trx, meshId, target.name)
  target.requireVersion(before.version)
  if (before.state !== 'terminated') throw notOver(before)
  const readerIds = new Set(before.domains.flatMap(({ readerId }) => readerId ?? []))
  for (const readerId of readerIds) {
    await target.readers.remove(trx, meshId, { readerId, context: target.context })
  }
  await deleteRelationship(trx, meshId, before.id)
  await recordAudit(trx, {
    meshId,
    actor: target.context.actor,
    action: 'relationship.delete',
    object: `relationship/${before.name}`,
    at: target.context.now,
    body: auditedRelationship(before),
  })
  await bumpChange(trx, meshId, 'relationship')
  return before
}

/** What would end with a mesh here: its relationships; active ones stop its deletion unless forced. */
export const endingRelationships: Dependants = async (db, target) => {
  const relationships = await listRelationships(db, target.meshId)
  return relationships
    .filter(({ state }) => state !== 'terminated')
    .map(({ name, state }) => ({
      kind: 'relationship',
      name,
      effect: `ends; the mesh no longer trusts ${name}`,
      blocks: state === 'active',
    }))
}

/** What breaks when a relationship ends or is withheld, trust in its domains first. */
export async function dependantsOf(
  trx: Db,
  relationship: Relationship,
  ask: readonly RelationshipDependants[],
): Promise<Dependant[]> {
  const target: RelationshipTarget = {
    kind: 'relationship',
    meshId: relationship.meshId,
    relationshipId: relationship.id,
    name: relationship.name,
    trustDomains: relationship.domains.map(({ trustDomain }) => trustDomain),
  }
  const found: Dependant[] = target.trustDomains.map((name) => ({
    kind: 'trust-domain',
    name,
    effect: 'its SVIDs are no longer accepted by workloads of this mesh',
    blocks: false,
  }))
  found.push(...(await stoppedFetches(trx, target)))
  for (const dependants of ask) found.push(...(await dependants(trx, target)))
  return found
}

/** FE-24: endpoints of others that are authenticated by this peer's bundles. */
async function stoppedFetches(trx: Db, target: RelationshipTarget): Promise<Dependant[]> {
  const vouched = await listVouchedFor(trx, target.meshId, target)
  return vouched.map(({ relationship, trustDomain }) => ({
    kind: 'relationship',
    name: relationship,
    effect: `${trustDomain} is no longer fetched: a bundle of ${target.name} authenticates its endpoint`,
    blocks: false,
  }))
}

function notOver({ name, state }: Relationship): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `relationship ${name} is ${state} and cannot be deleted now`,
    {
      next: `entente federation terminate ${name}`,
    },
  )
}

/** A source ends only with the trust domain that it signs for being handed to us. Throws CONFLICT. */
function refuseSource({ name, purpose, domains }: Relationship): void {
  if (purpose === 'peer') return
  throw new ServiceError(
    'CONFLICT',
    `${name} is where the authorities of our own ${domains[0]?.trustDomain} are read from; it cannot be ended by itself`,
    { next: `entente mesh release --trust-domain ${domains[0]?.trustDomain}` },
  )
}
