import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'

/** The published authorities of the system that signs for a trust domain, as a bundle's bytes. */
export async function findObserved(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<Uint8Array | undefined> {
  const row = await db
    .selectFrom('observed_bundle')
    .select('document')
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', trustDomain)
    .executeTakeFirst()
  return row?.document
}

/** Every trust domain beside whose authorities those of another system are published. */
export async function listObserved(db: Db): Promise<ReadonlySet<TrustDomain>> {
  const rows = await db.selectFrom('observed_bundle').select('trust_domain').execute()
  return new Set(rows.map((row) => row.trust_domain))
}

/** Keeps the authorities of the system that signs for a trust domain, in place of what was kept. */
export async function putObserved(
  trx: Db,
  meshId: MeshId,
  {
    trustDomain,
    document,
    at,
  }: { readonly trustDomain: TrustDomain; readonly document: Uint8Array; readonly at: Date },
): Promise<void> {
  await trx
    .insertInto('observed_bundle')
    .values({ mesh_id: meshId, trust_domain: trustDomain, document, changed_at: at })
    .onConflict((conflict) =>
      conflict.columns(['mesh_id', 'trust_domain']).doUpdateSet({ document, changed_at: at }),
    )
    .execute()
}

/** Keeps none any longer. */
export async function deleteObserved(
  trx: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<void> {
  await trx
    .deleteFrom('observed_bundle')
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', trustDomain)
    .execute()
}
