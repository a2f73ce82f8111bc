import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { readRecovery, type RecoveryPath } from './recovery.ts'
import { type DomainKey } from '../peer-bundle/revision-store.ts'

/** The recovery paths of a domain, in their order. */
export async function findRecovery(
  db: Db,
  meshId: MeshId,
  { relationshipId, trustDomain }: DomainKey,
): Promise<RecoveryPath[]> {
  const row = await db
    .selectFrom('relationship_domain')
    .select('recovery')
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', relationshipId)
    .where('trust_domain', '=', trustDomain)
    .executeTakeFirst()
  return readRecovery(row?.recovery ?? [], trustDomain)
}
