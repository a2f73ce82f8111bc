import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'

/** To which other mesh of this service each of these trust domains belongs; those of none are left out. */
export async function listMeshesOf(
  db: Db,
  meshId: MeshId,
  trustDomains: readonly TrustDomain[],
): Promise<Map<TrustDomain, MeshId>> {
  if (trustDomains.length === 0) return new Map()
  const rows = await db
    .selectFrom('trust_domain')
    .select(['name', 'mesh_id'])
    .where('name', 'in', trustDomains)
    .where('mesh_id', '<>', meshId)
    .execute()
  return new Map(rows.map((row) => [row.name, row.mesh_id]))
}

/** What one trust domain of this service publishes now. */
export interface Published {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly digest: Uint8Array
  readonly document: Uint8Array
}

/** The bundle that a trust domain of this service publishes now, whichever mesh has it. */
export async function findPublished(
  db: Db,
  trustDomain: TrustDomain,
): Promise<Published | undefined> {
  const row = await db
    .selectFrom('bundle_revision')
    .select(['mesh_id', 'digest', 'document'])
    .where('trust_domain', '=', trustDomain)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { mesh_id: meshId, digest, document } = row
  return { meshId, trustDomain, digest, document }
}
