import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type AnchorCache, type Anchors, NO_ANCHORS } from './anchors.ts'
import { findPublished } from '../local/local-store.ts'
import { findHolder, type Holder } from './vouching-store.ts'
import { type DomainEndpoint, voucherDomainOf } from './vouching.ts'

/** Whose bundle authenticates an endpoint that stands in another trust domain than the one it serves (FE-24). */
export interface Voucher {
  readonly trustDomain: TrustDomain
  /** The relationship that holds it; undefined for a domain of our own, or of nobody we know. */
  readonly relationship: string | undefined
  /** None while the bundle may not be used. */
  readonly anchors: Anchors
  /** Why it may not be used, and what a person can do. */
  readonly refusal: { readonly reason: string; readonly wayOut: string } | undefined
}

/** The domain that is fetched: its endpoint, and the relationship it belongs to. */
export interface VouchedFor extends DomainEndpoint {
  readonly meshId: MeshId
  readonly relationshipId: string
  /** See {@link AnchorCache}. */
  readonly distrustRevision?: bigint | undefined
}

/**
 * Finds what authenticates the endpoint of a domain that is not self-serving; undefined for all others.
 *
 * That is the newest bundle of the endpoint's trust domain as this mesh accepts it now: of an active relationship,
 * of the very relationship that is fetched for, or our own published one when the domain is ours (FE-24).
 */
export async function findVoucher(
  { db, anchors }: { readonly db: Db; readonly anchors: AnchorCache },
  subject: VouchedFor,
): Promise<Voucher | undefined> {
  const trustDomain = voucherDomainOf(subject)
  if (trustDomain === undefined) return undefined
  const { meshId, distrustRevision } = subject
  const holder = await findHolder(db, meshId, trustDomain)
  const common = { trustDomain, relationship: holder?.name, anchors: NO_ANCHORS }
  const refusal = holder === undefined ? undefined : refusalOf(holder, subject)
  if (refusal !== undefined) return { ...common, refusal }
  if (holder === undefined || holder.source === 'local') {
    const published = await findPublished(db, trustDomain)
    const isOurs = holder !== undefined || published?.meshId === meshId
    if (published === undefined || !isOurs) return { ...common, refusal: nobody(trustDomain) }
    const found = await anchors.ofPublished(db, meshId, { ...published, distrustRevision })
    return { ...common, anchors: found, refusal: undefined }
  }
  const key = { relationshipId: holder.relationshipId, trustDomain, distrustRevision }
  const revision = holder.inUse === undefined ? undefined : { ...key, ...holder.inUse }
  return { ...common, anchors: await anchors.of(db, meshId, revision), refusal: undefined }
}

/** Only what this mesh accepts now may vouch; a relationship's own domains do for each other while it is polled. */
function refusalOf(
  { relationshipId, name, state }: Holder,
  subject: VouchedFor,
): Voucher['refusal'] {
  const isOwn = relationshipId === subject.relationshipId
  if (state === 'active' || (isOwn && state !== 'terminated')) return undefined
  const wayOut =
    state === 'terminated'
      ? `delete relationship ${name} and make it again, or give this domain an endpoint of its own`
      : `see what relationship ${name} waits for: entente federation show ${name}`
  return { reason: `relationship ${name}, whose bundle authenticates it, is ${state}`, wayOut }
}

function nobody(trustDomain: TrustDomain): Voucher['refusal'] {
  return {
    reason: `no relationship of this mesh has a bundle of ${trustDomain}`,
    wayOut: `make one: entente federation add NAME --trust-domain ${trustDomain} with its endpoint`,
  }
}
