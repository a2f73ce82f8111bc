import { publishedUntil } from '../../bundle/history.ts'
import { type BundleRevision } from '../../bundle/revision.ts'
import { type Db } from '../../db/schema.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { type AuthorityFacts, exactNameOf, factsOf } from '../trust/authority-facts.ts'
import { type Relationship } from '../relationship.ts'
import { findMeshOf } from '../trust/trust-at-store.ts'
import { insertPast, type OpenSpan, type PastSpan, type TrustEvent } from '../trust/trust-store.ts'

/**
 * Writes down what a domain of this service published while a relationship trusted it, as that trust ends: what the
 * other mesh published leaves with that mesh, this history does not.
 */
export async function settleLocal(
  trx: Db,
  relationship: Relationship,
  { span, ended }: { readonly span: OpenSpan; readonly ended: TrustEvent },
): Promise<void> {
  const { trustDomain, begun } = span
  const publisher = await findMeshOf(trx, trustDomain)
  if (publisher === undefined) return
  const revisions: BundleRevision[] = []
  for await (const revision of publishedUntil(trx, publisher, { trustDomain, at: ended.at })) {
    revisions.unshift(revision)
    if (revision.createdAt <= begun.at) break
  }
  const published = { event: 'bundle.publish', actor: `peer:${trustDomain}` }
  await insertPast(trx, relationship, pastOf(revisions, { begun, ended, published }))
}

interface Bounds {
  readonly begun: TrustEvent
  readonly ended: TrustEvent
  readonly published: Omit<TrustEvent, 'at'>
}

/** The spans of the authorities in these revisions, oldest first, between begin and end. Pure. */
export function pastOf(
  revisions: readonly BundleRevision[],
  { begun, ended, published }: Bounds,
): PastSpan[] {
  const past: PastSpan[] = []
  let open = new Map<string, Omit<PastSpan, 'ended'>>()
  for (const revision of revisions) {
    const isFirst = revision.createdAt <= begun.at
    const at = isFirst ? begun : { ...published, at: revision.createdAt }
    const authorities = authoritiesOf(revision)
    for (const [name, span] of open) {
      if (!authorities.has(name)) past.push({ ...span, ended: at })
    }
    open = new Map(
      [...authorities].map(([name, authority]) => [
        name,
        open.get(name) ?? { authority, revision, begun: at },
      ]),
    )
  }
  return [...past, ...[...open.values()].map((span) => ({ ...span, ended }))]
}

function authoritiesOf({ trustDomain, document }: BundleRevision): Map<string, AuthorityFacts> {
  const { bundle } = readDocument(trustDomain, document)
  return new Map(factsOf(bundle).map((authority) => [exactNameOf(authority), authority]))
}
