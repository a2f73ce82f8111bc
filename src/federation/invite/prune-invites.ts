import { addSeconds } from '../../clock.ts'
import { inTransaction } from '../../db/connect.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { deleteEndedAcceptances } from './acceptance-store.ts'
import { deleteOldInvites, lockEndedWithReaders, updateInvite } from './invite-store.ts'
import { type OurSide } from './our-side.ts'

/** Seconds for which invites that are over are kept to be looked at: 30 days. */
const INVITE_KEPT_SECONDS = 30 * 86_400

/** Invites whose readers are removed in one transaction. */
const BATCH = 100

/**
 * Removes the bundle URLs of invites that ended unused, invites that were over for 30 days, and what was kept to
 * repeat a handshake of an invite that has ended.
 */
export async function pruneInvites(
  db: Db,
  { side, now }: { readonly side: OurSide; readonly now: DbClock },
): Promise<void> {
  await inTransaction(db, async (trx) => {
    const context = { actor: 'timer:invites', now: await now(trx) }
    for (const invite of await lockEndedWithReaders(trx, { now: context.now, limit: BATCH })) {
      await side.forget(trx, invite.meshId, { readers: invite.readers, context })
      await updateInvite(trx, invite, { readers: '[]' })
    }
  })
  const at = await now(db)
  await deleteOldInvites(db, addSeconds(at, -INVITE_KEPT_SECONDS))
  await deleteEndedAcceptances(db, at)
}
