import { type SqlBool, sql } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'

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
