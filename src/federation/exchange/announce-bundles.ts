import { countReplicasBehind } from '../../bundle/propagation.ts'
import { inTransaction } from '../../db/connect.ts'
import { type Db } from '../../db/schema.ts'
import {
  insertNoticesForAll,
  listUnannounced,
  markAnnounced,
  type UnannouncedBundle,
} from './notice-store.ts'

/** How long a notice waits at most for replicas that do not serve the new bundle yet. */
const MAX_WAIT_MS = 3000

/**
 * Writes notices of every bundle of ours that changed since the last look; one replica of those that look does it.
 *
 * A notice is written when all replicas serve the new bundle, so that who comes at once does not get the old one;
 * answers whether it left one for the next look because of that.
 */
export async function announceBundles(db: Db, now: Date): Promise<boolean> {
  let waits = false
  for (const bundle of await listUnannounced(db)) {
    if (await mustWait(db, bundle, now)) waits = true
    else await announce(db, bundle, now)
  }
  return waits
}

async function mustWait(db: Db, bundle: UnannouncedBundle, now: Date): Promise<boolean> {
  if (now.getTime() - bundle.publishedAt.getTime() > MAX_WAIT_MS) return false
  return (await countReplicasBehind(db, bundle.meshId, { ...bundle, now })) > 0
}

async function announce(db: Db, bundle: UnannouncedBundle, now: Date): Promise<void> {
  await inTransaction(db, async (trx) => {
    if (await markAnnounced(trx, bundle))
      await insertNoticesForAll(trx, { ...bundle, kind: 'bundle', now })
  })
}
