import { addSeconds } from '../../clock.ts'
import { inTransaction } from '../../db/connect.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { recordTrust } from './record-trust.ts'
import { lockRelationshipById } from '../store.ts'
import { listUntold, pruneSpans, pruneStandings, raiseCompleteSince } from './trust-prune-store.ts'

/** How long, and how much per relationship, the history of trust is kept. */
const TRUST_RETENTION = { days: 400, maxSpans: 20_000, maxStandings: 1000 } as const

/** Relationships taken into the history by one run; a service has more only when it is updated. */
const MOST_AT_ONCE = 10_000

/** What a run did. */
export interface TrustHistoryKept {
  readonly begun: number
  readonly pruned: number
}

/**
 * Takes relationships into the history of trust that were active before it was kept, from now on, and deletes
 * what is beyond the retention: spans that ended 400 days ago, and all but the newest 20,000 of a relationship.
 */
export async function keepTrustHistory(db: Db, now: DbClock): Promise<TrustHistoryKept> {
  let begun = 0
  for (const { meshId, id } of await listUntold(db, MOST_AT_ONCE)) {
    if (await tellOf(db, now, { meshId, id })) begun += 1
  }
  const { days, ...most } = TRUST_RETENTION
  const keep = { ...most, before: addSeconds(await now(db), -days * 24 * 3600) }
  const pruned = await pruneSpans(db, keep)
  await pruneStandings(db, keep)
  return { begun, pruned }
}

async function tellOf(
  db: Db,
  now: DbClock,
  { meshId, id }: { readonly meshId: MeshId; readonly id: string },
): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    const relationship = await lockRelationshipById(trx, meshId, id)
    if (relationship === undefined) return false
    const at = await now(trx)
    const event = { event: 'known', actor: 'timer:trust-history', at }
    const { begun } = await recordTrust(trx, relationship, event)
    if (begun > 0) await raiseCompleteSince(trx, meshId, at)
    return begun > 0
  })
}
