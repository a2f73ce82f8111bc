import { type Db } from '../../db/schema.ts'
import { type AnchorCache, type Anchors } from '../poll/anchors.ts'
import { listLocalBundles } from './local-store.ts'
import { pollKey } from '../poll/poll-store.ts'
import { type Relationship } from '../relationship.ts'
import { type RevisionHead } from '../peer-bundle/revision-store.ts'

/** A bundle in use as lists show it: a stored revision, or what a mesh of this same service publishes. */
export type ShownHead = Pick<
  RevisionHead,
  'n' | 'sequence' | 'hintSeconds' | 'digest' | 'receivedAt'
> & { readonly origin: RevisionHead['origin'] | 'published' }

/** What local relationships of one mesh read now, by relationship and trust domain; no statement without any. */
export async function localHeads(
  { db, anchors }: { readonly db: Db; readonly anchors: AnchorCache },
  relationships: readonly Relationship[],
): Promise<Map<string, { readonly head: ShownHead; readonly anchors: Anchors }>> {
  const local = relationships.find(({ domains }) =>
    domains.some(({ source }) => source === 'local'),
  )
  const found = new Map<string, { readonly head: ShownHead; readonly anchors: Anchors }>()
  if (local === undefined) return found
  for (const bundle of await listLocalBundles(db, local.meshId)) {
    const { relationshipId, trustDomain, sequence, hintSeconds, digest, createdAt } = bundle
    const origin = 'published' as const
    const head = { n: sequence, sequence, hintSeconds, digest, receivedAt: createdAt, origin }
    const known = await anchors.ofPublished(db, local.meshId, bundle)
    found.set(pollKey(relationshipId, trustDomain), { head, anchors: known })
  }
  return found
}
