import { type SqlBool, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type BundleSource, type Db, type RelationshipState } from '../../db/schema.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** Whose bundles authenticate the endpoints of others: one relationship and its trust domains. */
export interface Voucher {
  readonly relationshipId: string
  readonly trustDomains: readonly TrustDomain[]
}

/** A domain that is fetched from an endpoint in another trust domain (FE-24). */
export interface VouchedDomain {
  readonly relationship: string
  readonly trustDomain: TrustDomain
}

/** The relationship that holds a domain, and which revision of its bundle is in use. */
export interface Holder {
  readonly relationshipId: string
  readonly name: string
  readonly state: RelationshipState
  readonly source: BundleSource
  readonly inUse: { readonly n: bigint; readonly digest: Uint8Array } | undefined
}

/** The domains of other relationships whose endpoints are authenticated by this one's bundles (FE-24). */
export async function listVouchedFor(
  db: Db,
  meshId: MeshId,
  voucher: Voucher,
): Promise<VouchedDomain[]> {
  const rows = await db
    .selectFrom('relationship_domain as d')
    .innerJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'd.mesh_id').onRef('r.id', '=', 'd.relationship_id'),
    )
    .select(['r.name', 'd.trust_domain'])
    .where('d.mesh_id', '=', meshId)
    .where('r.state', '<>', 'terminated')
    .where(isVouchedBy(voucher))
    .orderBy('r.name')
    .orderBy('d.trust_domain')
    .execute()
  return rows.map((row) => ({ relationship: row.name, trustDomain: row.trust_domain }))
}

/**
 * Where the endpoints of a mesh's domains stand, those of terminated relationships left out, and of one that is
 * about to change when given (FE-25).
 */
export async function listEndpointDomains(
  db: Db,
  meshId: MeshId,
  exceptId?: string,
): Promise<Map<TrustDomain, TrustDomain | undefined>> {
  let query = db
    .selectFrom('relationship_domain as d')
    .innerJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'd.mesh_id').onRef('r.id', '=', 'd.relationship_id'),
    )
    .select(['d.trust_domain', 'd.endpoint_spiffe_id'])
    .where('d.mesh_id', '=', meshId)
    .where('r.state', '<>', 'terminated')
  if (exceptId !== undefined) query = query.where('r.id', '<>', exceptId)
  const rows = await query.execute()
  return new Map(
    rows.map(({ trust_domain: trustDomain, endpoint_spiffe_id: endpointId }) => [
      trustDomain,
      endpointId === null ? undefined : trustDomainOf(endpointId),
    ]),
  )
}

/** The relationship that holds a domain in this mesh, with the revision in use; terminated ones too. */
export async function findHolder(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<Holder | undefined> {
  const row = await db
    .selectFrom('relationship_domain as d')
    .innerJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'd.mesh_id').onRef('r.id', '=', 'd.relationship_id'),
    )
    .leftJoin('peer_bundle_revision as b', (join) =>
      join
        .onRef('b.mesh_id', '=', 'd.mesh_id')
        .onRef('b.relationship_id', '=', 'd.relationship_id')
        .onRef('b.trust_domain', '=', 'd.trust_domain')
        .on('b.disposition', '=', 'current'),
    )
    .select(['r.id', 'r.name', 'r.state', 'r.purpose', 'd.source', 'b.n', 'b.digest'])
    .where('d.mesh_id', '=', meshId)
    .where('d.trust_domain', '=', trustDomain)
    .executeTakeFirst()
  if (row === undefined || row.purpose !== 'peer') return undefined
  const { id: relationshipId, name, state, source, n, digest } = row
  const inUse = n === null || digest === null ? undefined : { n, digest }
  return { relationshipId, name, state, source, inUse }
}

/**
 * Polls the domains that a relationship vouches for anew, due at once: what a fetch in flight brings was
 * authenticated by a bundle whose standing has changed, and finds its lease gone (FE-24).
 */
export async function restartVouchedPolls(
  trx: Db,
  meshId: MeshId,
  { voucher, now }: { readonly voucher: Voucher; readonly now: Date },
): Promise<void> {
  await sql`
    update poll as p set next_at = ${now}, owner = null, lease_until = null, epoch = p.epoch + 1
    from relationship_domain as d
    where p.mesh_id = ${meshId} and d.mesh_id = p.mesh_id and d.relationship_id = p.relationship_id
      and d.trust_domain = p.trust_domain and ${isVouchedBy(voucher)}`.execute(trx)
}

// The third part of spiffe://<trust domain>/<path>.
function isVouchedBy({ relationshipId, trustDomains }: Voucher) {
  const names = sql.join(trustDomains.map((name) => sql`${name}`))
  return sql<SqlBool>`(d.relationship_id <> ${relationshipId} and d.source = 'https_spiffe'
    and split_part(d.endpoint_spiffe_id, '/', 3) in (${names}))`
}
