import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { HEAD, headOf, type RevisionHead } from '../peer-bundle/revision-store.ts'

/** A revision in use that may authenticate the endpoints of others, and whether its relationship is in force. */
export interface VouchingHead {
  readonly head: RevisionHead
  readonly isInForce: boolean
}

/** The revisions in use of these domains, whichever relationship of the mesh they belong to. */
export async function listVouchingHeads(
  db: Db,
  meshId: MeshId,
  trustDomains: readonly TrustDomain[],
): Promise<VouchingHead[]> {
  if (trustDomains.length === 0) return []
  const rows = await db
    .selectFrom('peer_bundle_revision as b')
    .innerJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'b.mesh_id').onRef('r.id', '=', 'b.relationship_id'),
    )
    .select(HEAD.map((column) => `b.${column}` as const))
    .select('r.state')
    .where('b.mesh_id', '=', meshId)
    .where('b.trust_domain', 'in', trustDomains)
    .where('b.disposition', '=', 'current')
    .execute()
  return rows.map((row) => ({ head: headOf(row), isInForce: row.state === 'active' }))
}

/** Which sequence of our bundle a peer certainly holds. */
export interface HeldSequence {
  readonly relationshipId: string
  readonly trustDomain: TrustDomain
  readonly sequence: bigint
}

/** What these peers last fetched of our bundle by the URLs made for them. */
export async function listHeldSequences(
  db: Db,
  meshId: MeshId,
  relationshipIds: readonly string[],
): Promise<HeldSequence[]> {
  if (relationshipIds.length === 0) return []
  const rows = await db
    .selectFrom('reader')
    .select(['relationship_id', 'trust_domain', 'sequence'])
    .where('mesh_id', '=', meshId)
    .where('relationship_id', 'in', relationshipIds)
    .where('sequence', 'is not', null)
    .execute()
  return rows.flatMap(({ relationship_id: relationshipId, trust_domain: trustDomain, sequence }) =>
    relationshipId === null || sequence === null ? [] : [{ relationshipId, trustDomain, sequence }],
  )
}

/** One revision of a bundle of ours. */
export interface OwnRevision {
  readonly trustDomain: TrustDomain
  readonly sequence: bigint
  readonly document: Uint8Array
}

/** Our own bundle documents of these sequences; those that are no longer stored are left out. */
export async function listOwnRevisions(
  db: Db,
  meshId: MeshId,
  wanted: readonly Pick<OwnRevision, 'trustDomain' | 'sequence'>[],
): Promise<OwnRevision[]> {
  if (wanted.length === 0) return []
  const rows = await db
    .selectFrom('bundle_revision')
    .select(['trust_domain', 'sequence', 'document'])
    .where('mesh_id', '=', meshId)
    .where('trust_domain', 'in', [...new Set(wanted.map(({ trustDomain }) => trustDomain))])
    .where('sequence', 'in', [...new Set(wanted.map(({ sequence }) => sequence))])
    .execute()
  return rows.map((row) => ({
    trustDomain: row.trust_domain,
    sequence: row.sequence,
    document: row.document,
  }))
}

/** A key of ours that signs, and since which sequence the world could know it. */
export interface SigningKey {
  readonly trustDomain: TrustDomain
  readonly publishedSequence: bigint
  readonly activatedAt: Date
}

/** The keys of a mesh that sign now and stand in its bundles; intermediates travel in the chain. */
export async function listSigningKeys(db: Db, meshId: MeshId): Promise<SigningKey[]> {
  const rows = await db
    .selectFrom('authority')
    .select(['trust_domain', 'published_sequence', 'activated_at'])
    .where('mesh_id', '=', meshId)
    .where('state', '=', 'active')
    .where('kind', '<>', 'x509_intermediate')
    .execute()
  return rows.flatMap(({ trust_domain: trustDomain, published_sequence, activated_at }) =>
    published_sequence === null || activated_at === null
      ? []
      : [{ trustDomain, publishedSequence: published_sequence, activatedAt: activated_at }],
  )
}
