import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpObjects } from '../db/changes.ts'
import { isForeignKeyViolation, isUniqueViolation } from '../db/failures.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import { loadRelationship } from '../federation/find-relationship.ts'
import { type Relationship } from '../federation/relationship.ts'
import { loadMesh } from '../mesh/find-mesh.ts'
import { auditedService } from './change-services.ts'
import { parseGateways } from './offer-gateway.ts'
import * as store from './offer-store.ts'
import {
  type Offer,
  parseService,
  type OfferDraft,
  type ServiceName,
  serviceTitle,
} from './service.ts'

/**
 * Enters by hand what a peer offers, in the caller's transaction: what somebody there told somebody here.
 *
 * It is a claim about the peer's half, so decisions show that half as unknown. Throws NOT_FOUND, CONFLICT for a
 * terminated relationship, SERVICE_INVALID, ALREADY_EXISTS.
 */
export async function createOffer(
  trx: Db,
  meshId: MeshId,
  {
    relationship,
    draft,
    context,
  }: { relationship: string; draft: OfferDraft; context: ChangeContext },
): Promise<Offer> {
  const peer = await loadPeer(trx, meshId, relationship)
  if (peer.state === 'terminated') throw terminated(peer.name)
  const trustDomains = peer.domains.map((domain) => domain.trustDomain)
  const [only, another] = trustDomains
  const content = parseService(draft, {
    title: `relationship ${peer.name}`,
    trustDomains,
    primary: another === undefined ? only : undefined,
  })
  const offer = {
    ...content,
    relationship: peer.name,
    gateways: parseGateways(draft.gateways ?? []),
    source: 'manual',
    createdAt: context.now,
  } as const
  try {
    await store.insertOffer(trx, meshId, { peer, offer })
  } catch (error) {
    if (isUniqueViolation(error)) throw alreadyThere(offer, error)
    if (isForeignKeyViolation(error)) throw deletedMeanwhile(peer.name, error)
    throw error
  }
  await settle(trx, meshId, { context, action: 'offer.create', offer })
  return offer
}

/** Deletes an offer, in the caller's transaction; throws NOT_FOUND. */
export async function deleteOffer(
  trx: Db,
  meshId: MeshId,
  {
    relationship,
    name,
    context,
  }: { relationship: string; name: ServiceName; context: ChangeContext },
): Promise<Offer> {
  const peer = await loadPeer(trx, meshId, relationship)
  const offer = await store.deleteOffer(trx, meshId, { peer, name })
  if (offer === undefined) {
    throw new ServiceError(
      'NOT_FOUND',
      `${relationship} has no offer ${serviceTitle(name)} on record`,
      {
        next: `entente service list --of ${relationship}`,
      },
    )
  }
  await settle(trx, meshId, { context, action: 'offer.delete', offer })
  return offer
}

/** The relationship of this name; throws NOT_FOUND, also for the mesh. */
export async function loadPeer(db: Db, meshId: MeshId, name: string): Promise<Relationship> {
  await loadMesh(db, meshId)
  return loadRelationship(db, meshId, name)
}

interface Settlement {
  readonly context: ChangeContext
  readonly action: 'offer.create' | 'offer.delete'
  readonly offer: Offer
}

async function settle(
  trx: Db,
  meshId: MeshId,
  { context, action, offer }: Settlement,
): Promise<void> {
  await recordAudit(trx, {
    meshId,
    at: context.now,
    actor: context.actor,
    action,
    object: `offer/${offer.relationship}/${serviceTitle(offer)}`,
    body: { ...auditedService(offer), gateways: offer.gateways, source: offer.source },
  })
  const key = `${offer.relationship}/${serviceTitle(offer)}`
  await bumpObjects(trx, meshId, [{ kind: 'offer', key }])
}

function deletedMeanwhile(name: string, cause: unknown): ServiceError {
  return new ServiceError('NOT_FOUND', `relationship ${name} was deleted meanwhile`, {
    cause,
    next: 'entente federation list',
  })
}

function terminated(name: string): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `relationship ${name} is terminated, so nothing of it can be imported`,
    {
      next: `entente federation delete ${name}, then entente federation add ${name}`,
    },
  )
}

function alreadyThere(offer: Offer, cause: unknown): ServiceError {
  const title = serviceTitle(offer)
  return new ServiceError('ALREADY_EXISTS', `${offer.relationship} offers ${title} already`, {
    cause,
    next: `entente rule import ${title} --from ${offer.relationship}`,
  })
}
