import { recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import { inTransaction } from '../db/connect.ts'
import { type Db } from '../db/schema.ts'
import { type DbClock } from '../db/time.ts'
import { addSeconds } from '../clock.ts'
import { type ReadDocument, readDocument } from './accept-bundle.ts'
import { activateIfReady } from './activate.ts'
import { anchorsIn } from './anchors.ts'
import { diffBundles } from './bundle-diff.ts'
import { type PollTask } from './claim-store.ts'
import { outcomeOf } from './poll-outcome.ts'
import { holdsPoll, type PollOutcome, settlePolls } from './poll-store.ts'
import { type Relationship } from './relationship.ts'
import {
  countFetchedSince,
  findCurrent,
  insertRevision,
  nextNumber,
  retireCurrent,
  type VerifiedBy,
} from './revision-store.ts'
import { lockRelationshipById } from './store.ts'

/** A fetched document that was accepted, and on whose word. */
export interface Accepted {
  readonly read: ReadDocument
  readonly warnings: readonly string[]
  readonly verifiedBy: VerifiedBy
  readonly etag: string | undefined
  readonly actor: string
  readonly acceptLowerSequence: boolean
}

/** What storing needs. */
export interface StoreDeps {
  readonly db: Db
  readonly now: DbClock
  readonly pollMinSeconds: number
  readonly random: () => number
}

/** What was stored. */
export interface Stored {
  readonly outcome: PollOutcome
  readonly changesLastHour: number
  readonly activated: boolean
}

/**
 * Puts an accepted document in the place of the one in use: revision, poll, activation, audit record and change
 * in one transaction.
 *
 * Answers undefined, with nothing changed, when the poll's lease, generation or state has passed on meanwhile.
 */
export async function storeAccepted(
  deps: StoreDeps,
  task: PollTask,
  accepted: Accepted,
): Promise<Stored | undefined> {
  return inTransaction(deps.db, async (trx) => {
    const relationship = await lockRelationshipById(trx, task.meshId, task.relationshipId)
    if (relationship === undefined || !isOfTask(relationship, task)) return undefined
    if (!(await holdsPoll(trx, task))) return undefined
    const now = await deps.now(trx)
    const previous = await findCurrent(trx, task.meshId, task)
    await replaceCurrent(trx, task, { accepted, now })
    const changesLastHour = await countFetchedSince(trx, task.meshId, {
      key: task,
      since: addSeconds(now, -3600),
    })
    const outcome = outcomeOf(
      task,
      {
        kind: 'succeeded',
        hintSeconds: accepted.read.bundle.refreshHintSeconds,
        httpEtag: accepted.etag,
        changesLastHour,
      },
      {
        pollMinSeconds: deps.pollMinSeconds,
        random: deps.random(),
        anchors: anchorsIn(accepted.read.bundle.x509Authorities),
      },
    )
    await settlePolls(trx, [outcome])
    await recordAcceptance(trx, relationship, {
      task,
      accepted,
      previous: previous?.document,
      now,
    })
    const activated = await activateIfReady(trx, relationship, { actor: accepted.actor, now })
    await bumpChange(trx, task.meshId, 'relationship')
    return { outcome, changesLastHour, activated }
  })
}

function isOfTask(relationship: Relationship, task: PollTask): boolean {
  return relationship.generation === task.generation && relationship.state === task.state
}

async function replaceCurrent(
  trx: Db,
  task: PollTask,
  { accepted, now }: { readonly accepted: Accepted; readonly now: Date },
): Promise<void> {
  const { bundle, document, digest } = accepted.read
  await retireCurrent(trx, task.meshId, { key: task, to: 'superseded' })
  await insertRevision(trx, task.meshId, {
    key: task,
    revision: {
      n: await nextNumber(trx, task.meshId, task),
      sequence: bundle.sequence,
      hintSeconds: bundle.refreshHintSeconds,
      document,
      digest,
      receivedAt: now,
      verifiedBy: accepted.verifiedBy,
      origin: 'fetched',
      disposition: 'current',
      reason:
        accepted.warnings.length === 0 ? undefined : accepted.warnings.join('; ').slice(0, 1000),
    },
  })
}

async function recordAcceptance(
  trx: Db,
  relationship: Relationship,
  about: {
    readonly task: PollTask
    readonly accepted: Accepted
    readonly previous: Uint8Array | undefined
    readonly now: Date
  },
): Promise<void> {
  const { task, accepted, previous, now } = about
  const before =
    previous === undefined ? undefined : readDocument(task.trustDomain, previous).bundle
  await recordAudit(trx, {
    meshId: task.meshId,
    actor: accepted.actor,
    action: 'peer-bundle.accept',
    object: `relationship/${relationship.name}/bundles/${task.trustDomain}`,
    at: now,
    body: {
      trustDomain: task.trustDomain,
      sequenceBefore: before?.sequence ?? null,
      sequence: accepted.read.bundle.sequence ?? null,
      digest: Buffer.from(accepted.read.digest).toString('hex'),
      ...diffBundles(before, accepted.read.bundle),
      skipped: accepted.read.skipped.length,
      warnings: accepted.warnings.slice(0, 20),
      verifiedBy: accepted.verifiedBy,
      acceptedLowerSequence: accepted.acceptLowerSequence,
    },
  })
}
