import { type BundleRevision, type BundleRevisionHead } from '../../bundle/revision.ts'
import { publishedUntil } from '../../bundle/history.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { type AuthorityFacts, exactNameOf, factsOf } from './authority-facts.ts'

/** One authority that a trust domain of this service published at a moment. */
export interface PublishedAuthority {
  readonly authority: AuthorityFacts
  /** Since when without interruption. */
  readonly since: Date
  /** The revision with which that began. */
  readonly revision: Omit<BundleRevisionHead, 'meshId' | 'hintSeconds'>
}

/**
 * What a trust domain of this service published at a moment, each authority with the revision that it came with.
 *
 * Goes back through the revisions until every authority's beginning is found; those are kept for good.
 */
export async function publishedAt(
  db: Db,
  meshId: MeshId,
  { trustDomain, at }: { readonly trustDomain: TrustDomain; readonly at: Date },
): Promise<PublishedAuthority[]> {
  const found = new Map<string, PublishedAuthority>()
  let open: ReadonlySet<string> | undefined
  for await (const revision of publishedUntil(db, meshId, { trustDomain, at })) {
    open = goBack(found, open, revision)
    if (open.size === 0) break
  }
  return [...found.values()]
}

/** Takes one older revision into account, and answers which authorities were there without interruption. */
function goBack(
  found: Map<string, PublishedAuthority>,
  open: ReadonlySet<string> | undefined,
  { document, ...revision }: BundleRevision,
): ReadonlySet<string> {
  const still = new Set<string>()
  for (const authority of factsOf(readDocument(revision.trustDomain, document).bundle)) {
    const name = exactNameOf(authority)
    if (open !== undefined && !open.has(name)) continue
    still.add(name)
    found.set(name, { authority, since: revision.createdAt, revision })
  }
  return still
}
