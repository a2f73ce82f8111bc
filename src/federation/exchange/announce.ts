import { type MeshId } from '../../db/ids.ts'
import { type Db, type NoticeEndpoint } from '../../db/schema.ts'
import { primaryTrustDomain } from '../../mesh/find-mesh.ts'
import { encodeBase64 } from '../../spiffe/base64.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { insertNotice } from './notice-store.ts'
import { deletePeerExchange, findCallTarget } from './peer-exchange-store.ts'
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
    endpoint: ends ? await endpointOf(trx, meshId, { relationshipId, exchange }) : undefined,
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

/** Who proves the peer's endpoint, written down while its bundle is still in use; none with https_web. */
async function endpointOf(
  trx: Db,
  meshId: MeshId,
  about: { readonly relationshipId: string; readonly exchange: Exchange },
): Promise<NoticeEndpoint | undefined> {
  const { relationshipId, exchange } = about
  const trustDomain = trustDomainOf(exchange.id)
  const target = await findCallTarget(trx, meshId, { relationshipId, trustDomain })
  if (target?.endpointId === undefined || target.revision === undefined) return undefined
  const { revision } = target
  const stored = await findRevision(trx, meshId, { key: revision, n: revision.n })
  if (stored === undefined) return undefined
  const { bundle } = readDocument(revision.trustDomain, stored.document)
  const { digests } = await loadDistrust(trx, meshId)
  const { x509Authorities } = effectiveBundle(bundle, digests)
  return {
    id: target.endpointId,
    anchors: x509Authorities.map(({ certificate }) => encodeBase64(certificate)),
  }
}
