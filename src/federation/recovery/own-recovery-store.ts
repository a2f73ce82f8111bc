import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readRecovery, type RecoveryPath, writeRecovery } from './recovery.ts'

/** The recovery paths of a trust domain of ours, as peers are told; empty when there are none. */
export async function ownRecovery(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<RecoveryPath[]> {
  const row = await db
    .selectFrom('trust_domain')
    .select('recovery')
    .where('mesh_id', '=', meshId)
    .where('name', '=', trustDomain)
    .executeTakeFirst()
  return readRecovery(row?.recovery ?? [], trustDomain)
}

/** Puts these recovery paths in the place of those that peers were told. */
export async function putOwnRecovery(
  trx: Db,
  meshId: MeshId,
  {
    trustDomain,
    recovery,
  }: { readonly trustDomain: TrustDomain; readonly recovery: readonly RecoveryPath[] },
): Promise<void> {
  await trx
    .updateTable('trust_domain')
    .set({ recovery: JSON.stringify(recovery.map(writeRecovery)) })
    .where('mesh_id', '=', meshId)
    .where('name', '=', trustDomain)
    .execute()
}
