import { addSeconds } from '../../clock.ts'
import { bumpChange } from '../../db/changes.ts'
import { inTransaction } from '../../db/connect.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { isServiceError } from '../../errors.ts'
import { decideRead, type Verdict } from './accept-bundle.ts'
import { activateIfReady } from '../activate.ts'
import { type PollTask } from './claim-store.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { countFetchedSince } from './ingestion-store.ts'
import { loadIngestion } from './load-ingestion.ts'
import { outcomeOf } from './poll-outcome.ts'
import { holdsPoll, type PollOutcome, settlePolls } from './poll-store.ts'
import { type Relationship } from '../relationship.ts'
import { recordTrust } from '../trust/record-trust.ts'
import { findCurrent } from '../peer-bundle/revision-store.ts'
import { storeAccepted } from './store-accepted.ts'
import { auditActionOf, storeHeld } from './store-held.ts'
import { lockRelationshipById } from '../store.ts'
import { type InForce, type Served, type Storing } from './storing.ts'

/** What storing needs. */
export interface StoreDeps {
  readonly db: Db
  readonly now: DbClock
  readonly pollMinSeconds: number
  readonly random: () => number
}

/** What was stored. */
export interface Stored {
  readonly verdict: StoredVerdict
  readonly outcome: PollOutcome
  readonly changesLastHour: number
  readonly activated: boolean
}

/** A verdict that changes what is stored. */
export type StoredVerdict = Exclude<Verdict, { kind: 'unchanged' }>

/**
 * Stores what a fetched document changes: revisions, poll, activation, audit record and change in one transaction.
 *
 * It is judged again under the relationship's lock, so a policy or a decision that changed meanwhile counts. Answers
 * undefined, with nothing changed, when the poll's lease, generation or state has passed on, or nothing is left
 * to store.
 */
export async function storeVerdict(
  deps: StoreDeps,
  task: PollTask,
  served: Served,
): Promise<Stored | undefined> {
  return inTransaction(deps.db, async (trx) => {
    const relationship = await lockRelationshipById(trx, task.meshId, task.relationshipId)
    if (relationship === undefined || !isOfTask(relationship, task)) return undefined
    if (!(await holdsPoll(trx, task))) return undefined
    const now = await deps.now(trx)
    const previous = await findCurrent(trx, task.meshId, task)
    const { digests: distrusted } = await loadDistrust(trx, task.meshId)
    const storing = { task, relationship, previous, served, distrusted, now }
    const verdict = await judgeAgain(trx, storing)
    if (verdict === undefined) return undefined
    const inForce =
      verdict.kind === 'accepted'
        ? await storeAccepted(trx, storing, verdict)
        : await storeHeld(trx, storing, verdict)
    const settled = await settle(trx, deps, { storing, inForce })
    const context = { actor: served.actor, now }
    await recordTrust(trx, relationship, {
      event: auditActionOf(verdict),
      actor: served.actor,
      at: now,
    })
    const activated = await activateIfReady(trx, relationship, context)
    await bumpChange(trx, task.meshId, 'relationship')
    return { verdict, ...settled, activated }
  })
}

function isOfTask(relationship: Relationship, task: PollTask): boolean {
  return relationship.generation === task.generation && relationship.state === task.state
}

async function judgeAgain(
  trx: Db,
  { task, relationship, previous, served, distrusted }: Storing,
): Promise<StoredVerdict | undefined> {
  const ingestion = await loadIngestion(trx, task.meshId, {
    key: task,
    policy: relationship.changePolicy,
    read: served.read,
    acceptLowerSequence: served.acceptLowerSequence,
    distrusted,
    inUse: previous,
  })
  try {
    const verdict = decideRead(served.read, ingestion)
    return isStored(verdict) ? verdict : undefined
  } catch (error) {
    if (isServiceError(error)) return undefined
    throw error
  }
}

/** Whether a verdict changes what is stored; a document that was held back before is not stored again. */
export function isStored(verdict: Verdict): verdict is StoredVerdict {
  if (verdict.kind === 'unchanged') return false
  return (
    verdict.kind === 'accepted' || verdict.before === undefined || verdict.reduced !== undefined
  )
}

async function settle(
  trx: Db,
  { pollMinSeconds, random }: StoreDeps,
  { storing, inForce }: { readonly storing: Storing; readonly inForce: InForce },
): Promise<Pick<Stored, 'outcome' | 'changesLastHour'>> {
  const { task, now } = storing
  const { anchors, waiting, ...bundle } = inForce
  const changesLastHour = await countFetchedSince(trx, task.meshId, {
    key: task,
    since: addSeconds(now, -3600),
  })
  const outcome = outcomeOf(
    task,
    { kind: 'succeeded', ...bundle, changesLastHour },
    { pollMinSeconds, random: random(), anchors, waiting, voucher: storing.served.voucher },
  )
  await settlePolls(trx, [outcome])
  return { outcome, changesLastHour }
}
