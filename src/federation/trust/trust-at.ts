import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { trustDomainsOf } from '../../mesh/find-mesh.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type AuthorityFacts, exactNameOf } from './authority-facts.ts'
import { type PublishedAuthority, publishedAt } from './own-trust.ts'
import { type ConsentRecord, consentsAt } from './standing-history-store.ts'
import { findMeshOf, keysAt, listSpansAt, type TrustSpan } from './trust-at-store.ts'

/** One authority that a mesh trusted at a moment, and why. */
export interface TrustedAuthority {
  readonly trustDomain: TrustDomain
  readonly authority: AuthorityFacts
  /** Since when without interruption. */
  readonly since: Date
  /** What this service published of the domain; absent for domains that are not its own. */
  readonly published: Published | undefined
  /** Absent for the mesh's own domains. */
  readonly peer: PeerGrounds | undefined
}

/** What of a revision that this service published is told; `cause` of the mesh's own only. */
export type Published = Pick<PublishedAuthority['revision'], 'sequence' | 'digest'> & {
  readonly cause?: string
}

/** Why an authority of a peer was trusted. */
export interface PeerGrounds {
  readonly span: TrustSpan
  /** Who consented; unknown for what was there before this history. */
  readonly consent: ConsentRecord | undefined
}

/** Where a page of the answer ends: among the mesh's own domains, or among those of peers. */
export interface TrustPlace {
  readonly section: 'own' | 'peer'
  readonly trustDomain: string
  readonly key: string
}

/** Whom a mesh trusted at a moment, from a place on. */
export interface TrustQuery {
  readonly at: Date
  readonly trustDomain: TrustDomain | undefined
  readonly after: TrustPlace | undefined
  readonly limit: number
}

/** A page of the answer. */
export interface TrustPage {
  readonly items: readonly TrustedAuthority[]
  readonly next: TrustPlace | undefined
}

/**
 * The authorities that a mesh trusted at a moment: first those that its own domains published, then those of peers
 * that an active relationship made trusted and nobody distrusted, by trust domain.
 *
 * Moments are those that the database's clock showed to the transaction of each change, to the millisecond; replicas
 * act on a change at its commit, others within a second of it. A page may hold a few more than `limit`, where a peer of this
 * service publishes several authorities.
 */
export async function trustAt(db: Db, meshId: MeshId, query: TrustQuery): Promise<TrustPage> {
  const own = await ownItems(db, meshId, query)
  const shownOwn = own.slice(0, query.limit)
  const room = query.limit - shownOwn.length
  if (own.length > shownOwn.length) return { items: shownOwn, next: ownPlace(shownOwn.at(-1)) }
  const after =
    query.after?.section === 'peer'
      ? { trustDomain: query.after.trustDomain, id: query.after.key }
      : undefined
  const spans = await listSpansAt(db, meshId, { ...query, after, limit: room + 1 })
  const shown = spans.slice(0, room)
  const items = [...shownOwn, ...(await peerItems(db, meshId, { spans: shown, at: query.at }))]
  if (spans.length === shown.length) return { items, next: undefined }
  const last = shown.at(-1)
  return {
    items,
    next:
      last === undefined
        ? ownPlace(shownOwn.at(-1))
        : { section: 'peer', trustDomain: last.trustDomain, key: last.id },
  }
}

async function ownItems(
  db: Db,
  meshId: MeshId,
  { at, trustDomain: wanted, after }: TrustQuery,
): Promise<TrustedAuthority[]> {
  if (after?.section === 'peer') return []
  const items: TrustedAuthority[] = []
  for (const { name: trustDomain } of await trustDomainsOf(db, meshId)) {
    if (wanted !== undefined && wanted !== trustDomain) continue
    for (const found of await publishedAt(db, meshId, { trustDomain, at })) {
      items.push({ ...found, trustDomain, published: found.revision, peer: undefined })
    }
  }
  const order = (item: TrustedAuthority) => `${item.trustDomain} ${exactNameOf(item.authority)}`
  const start = after === undefined ? '' : `${after.trustDomain} ${after.key}`
  return items
    .toSorted((one, other) => (order(one) < order(other) ? -1 : 1))
    .filter((item) => order(item) > start)
}

function ownPlace(item: TrustedAuthority | undefined): TrustPlace | undefined {
  if (item === undefined) return undefined
  return { section: 'own', trustDomain: item.trustDomain, key: exactNameOf(item.authority) }
}

async function peerItems(
  db: Db,
  meshId: MeshId,
  { spans, at }: { readonly spans: readonly TrustSpan[]; readonly at: Date },
): Promise<TrustedAuthority[]> {
  const relationshipIds = [...new Set(spans.map(({ relationshipId }) => relationshipId))]
  const consents = await consentsAt(db, meshId, { relationshipIds, at })
  const items: TrustedAuthority[] = []
  for (const span of spans) {
    const peer = { span, consent: consents.get(span.relationshipId) }
    if (span.authority === undefined) {
      items.push(...(await localItems(db, meshId, { peer, at })))
      continue
    }
    items.push({
      trustDomain: span.trustDomain,
      authority: span.authority,
      since: later(span.begun.at, span.lifted?.at),
      published: span.published,
      peer,
    })
  }
  return items
}

/** What a domain of another mesh of this service published, while a relationship with it was active. */
async function localItems(
  db: Db,
  meshId: MeshId,
  { peer, at }: { readonly peer: PeerGrounds; readonly at: Date },
): Promise<TrustedAuthority[]> {
  const { span } = peer
  const publisher = await findMeshOf(db, span.trustDomain)
  if (publisher === undefined) return []
  const keys = await keysAt(db, meshId, at)
  const published = await publishedAt(db, publisher, { trustDomain: span.trustDomain, at })
  return published.flatMap(({ authority, since, revision: { sequence, digest } }) => {
    const key = keys.get(authority.publicKeySha256)
    if (key?.isTrusted === false) return []
    const from = later(since, span.begun.at)
    // A distrust that was lifted before the trust began has nothing to do with it.
    const lifted = key?.lifted !== undefined && key.lifted.at > from ? key.lifted : undefined
    const renewed = { event: 'bundle.publish', actor: `peer:${span.trustDomain}`, at: from }
    const begun = from > span.begun.at ? renewed : span.begun
    return {
      trustDomain: span.trustDomain,
      authority,
      since: later(from, lifted?.at),
      published: { sequence, digest },
      peer: { ...peer, span: { ...span, begun, lifted } },
    }
  })
}

function later(one: Date, other: Date | undefined): Date {
  return other !== undefined && other > one ? other : one
}
