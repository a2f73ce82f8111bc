import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { addSeconds } from '../clock.ts'
import { inTransaction } from '../db/connect.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { deleteMeshGrants } from './grant-store.ts'
import { deleteDeadTokens } from './store.ts'

/**
 * Takes away every grant on a mesh that is deleted, so that a later mesh of the same name does not inherit them.
 *
 * A token that had no other grant stays and may do nothing but `whoami`.
 */
export async function endMeshGrants(
  trx: Db,
  meshId: MeshId,
  context: ChangeContext,
): Promise<void> {
  const count = await deleteMeshGrants(trx, meshId)
  if (count === 0) return
  await recordAudit(trx, {
    meshId,
    actor: context.actor,
    action: 'grant.delete',
    object: `mesh/${meshId}`,
    body: { count, reason: 'the mesh was deleted' },
    at: context.now,
  })
}

/** Tokens that ended are kept this long, to be found beside what the audit log says of them. */
const KEPT_SECONDS = 90 * 86_400

/** Forgets API tokens that were revoked or ended more than 90 days ago; answers how many. */
export async function pruneApiTokens(db: Db, now: Date): Promise<number> {
  return inTransaction(db, (trx) => deleteDeadTokens(trx, addSeconds(now, -KEPT_SECONDS)))
}
