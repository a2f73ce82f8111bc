import { type Db, type NoticeEndpoint } from '../../db/schema.ts'
import { primaryTrustDomain } from '../../mesh/find-mesh.ts'
import { encodeBase64 } from '../../spiffe/base64.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { findHolder } from '../poll/vouching-store.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { insertNotice } from './notice-store.ts'
import { deletePeerExchange } from './peer-exchange-store.ts'
import { type Exchange, type Relationship } from '../relationship.ts'
import { findRevision } from '../peer-bundle/revision-store.ts'

/** A change of standing as the peer may learn of it. */
export interface AnnouncedStanding {
  readonly before: Relationship
  readonly after: Relationship
  readonly reason: string | undefined
  readonly now: Date
}

/**
 * Writes the notice of a change of our consent, or of the end, in the transaction of that change. Our own hold is
 * nobody's business and is not announced. Called before an end takes the peer's bundles away: the last notice goes
 * to the endpoint as it proved itself until then.
 */
export async function announceStanding(trx: Db, announced: AnnouncedStanding): Promise<void> {
  const { before, after, reason, now } = announced
  const { meshId, id: relationshipId, exchange } = before
  const ends = after.state === 'terminated'
  if (exchange === undefined || (!ends && before.ourConsent === after.ourConsent)) return
  const { name: trustDomain } = await primaryTrustDomain(trx, meshId)
  await insertNotice(trx, meshId, {
    relationshipId,
    kind: ends ? 'termination' : 'relationship',
    trustDomain,
    sequence: undefined,
    reason: ends ? reason : undefined,
    endpoint: ends ? await endpointOf(trx, before, exchange) : undefined,
    now,
  })
  if (ends) await deletePeerExchange(trx, meshId, relationshipId)
}

/** Writes the notice that a proposal of ours, or our agreement to one of theirs, is there to be asked for. */
export async function announceProposal(
  trx: Db,
  { meshId, id: relationshipId, exchange }: Relationship,
  now: Date,
): Promise<void> {
  if (exchange === undefined) return
  const { name: trustDomain } = await primaryTrustDomain(trx, meshId)
  const nothing = { sequence: undefined, reason: undefined }
  await insertNotice(trx, meshId, {
    relationshipId,
    kind: 'proposal',
    trustDomain,
    ...nothing,
    now,
  })
}

/**
 * Who proves the peer's endpoint, written down while its own bundle is still in use. None with https_web, nor when
 * another relationship's bundle or ours proves it: whether that still may is decided when the notice is sent (FE-24).
 */
async function endpointOf(
  trx: Db,
  { meshId, id, domains }: Relationship,
  exchange: Exchange,
): Promise<NoticeEndpoint | undefined> {
  const theirs = trustDomainOf(exchange.id)
  const endpointId = domains.find(({ trustDomain }) => trustDomain === theirs)?.endpointId
  if (endpointId === undefined) return undefined
  const trustDomain = trustDomainOf(endpointId)
  const holder = await findHolder(trx, meshId, trustDomain)
  if (holder?.relationshipId !== id || holder.inUse === undefined) return undefined
  const key = { relationshipId: id, trustDomain }
  const stored = await findRevision(trx, meshId, { key, n: holder.inUse.n })
  if (stored === undefined) return undefined
  const { bundle } = readDocument(trustDomain, stored.document)
  const { digests } = await loadDistrust(trx, meshId)
  const { x509Authorities } = effectiveBundle(bundle, digests)
  const anchors = x509Authorities.map(({ certificate }) => encodeBase64(certificate))
  return { id: endpointId, anchors }
}
