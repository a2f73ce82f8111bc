import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import { type Db } from '../db/schema.ts'
import { announceStanding } from './exchange/announce.ts'
import { hasVerifiedBundles } from './poll/waiting.ts'
import { deletePolls } from './poll/poll-store.ts'
import { dropWaiting } from './peer-bundle/quarantine-store.ts'
import { pinFirstBundles } from './poll/first-bundle-store.ts'
import { consents, tellLocalPeers } from './local/local-consent.ts'
import { recordTrust } from './trust/record-trust.ts'
import { ServiceError } from '../errors.ts'
import { isUnproven, type Relationship, UNPROVEN_REASON } from './relationship.ts'
import { retireCurrent } from './peer-bundle/revision-store.ts'
import { appendStanding } from './trust/standing-history-store.ts'
import { type StandingEvent, transition } from './standing.ts'
import { updateRelationship } from './store.ts'
import { restartVouchedPolls } from './poll/vouching-store.ts'

/** An event in the life of a relationship, on whose word, and what else its audit record tells. */
export interface StandingChange {
  readonly event: StandingEvent
  readonly context: ChangeContext
  /** For people: why it is suspended or over. */
  readonly reason?: string | undefined
  readonly body?: Record<string, unknown>
}

/**
 * The one way in which the standing of a relationship changes: transition, row, what an ending takes with it,
 * audit record `relationship.<event>`, change counter, and the other side when it is a mesh of this service. The
 * caller holds the row's lock and its transaction.
 *
 * Throws CONFLICT naming what is allowed. Any change of standing but a first activation begins a new generation,
 * so that what a fetch in flight brings is thrown away.
 */
export async function changeStanding(
  trx: Db,
  before: Relationship,
  change: StandingChange,
): Promise<Relationship> {
  const after = await takeStep(trx, before, change)
  if (consents(before) !== consents(after)) await tellOtherSides(trx, after, change.context)
  return after
}

/** Makes peers of this same service agree with our consent, in the same transaction. */
export async function tellOtherSides(
  trx: Db,
  relationship: Relationship,
  context: ChangeContext,
): Promise<void> {
  await tellLocalPeers(trx, relationship, { context, step: takeStep })
}

async function takeStep(
  trx: Db,
  before: Relationship,
  change: StandingChange,
): Promise<Relationship> {
  const { context, event } = change
  refuseUnproven(before, event)
  const after = stamped(
    before,
    transition(before, event, await hasVerifiedBundles(trx, before)),
    change,
  )
  // Exports follow the state, so they end with this row; the bundles leave after it, in the same commit.
  await updateRelationship(trx, after)
  await announceStanding(trx, { before, after, reason: change.reason, now: context.now })
  if (after.state === 'terminated') await removeTrust(trx, after, context.now)
  if (after.state === 'active') await pinFirstBundles(trx, after.meshId, after.id)
  if (after.state !== before.state) await restartVouched(trx, after, context.now)
  const done = event === 'bundle-arrives' ? 'activate' : event
  const happened = { actor: context.actor, at: context.now }
  await appendStanding(trx, after, { ...happened, event: done, reason: change.reason })
  await recordTrust(trx, after, { ...happened, event: `relationship.${done}` })
  await recordAudit(trx, {
    meshId: before.meshId,
    actor: context.actor,
    action: `relationship.${done}`,
    object: `relationship/${before.name}`,
    at: context.now,
    body: {
      stateBefore: before.state,
      state: after.state,
      ourConsent: after.ourConsent,
      theirConsent: after.theirConsent,
      onHold: after.onHold,
      reason: change.reason ?? null,
      ...change.body,
    },
  })
  await bumpChange(trx, before.meshId, 'relationship')
  return after
}

/** Nobody can consent to, or withdraw from, what an invite only claims. */
function refuseUnproven(before: Relationship, event: StandingEvent): void {
  if (before.state === 'terminated' || !isUnproven(before)) return
  if (event !== 'approve' && event !== 'withdraw') return
  const { name } = before
  throw new ServiceError(
    'CONFLICT',
    `relationship ${name}: ${UNPROVEN_REASON}, so "${event}" is refused; accept the same invite again, or terminate and delete it`,
    { next: `entente federation accept FILE, or: entente federation terminate ${name}` },
  )
}

function stamped(before: Relationship, after: Relationship, change: StandingChange): Relationship {
  const { now } = change.context
  const isSame = before.state === after.state
  const isFirst = before.state === 'pending' && after.state === 'active'
  return {
    ...after,
    standingReason: change.reason ?? (isSame ? before.standingReason : undefined),
    generation: isSame || isFirst ? before.generation : before.generation + 1n,
    version: before.version + 1n,
    activatedAt: after.state === 'active' ? (before.activatedAt ?? now) : before.activatedAt,
    terminatedAt: after.state === 'terminated' ? now : undefined,
  }
}

/** FE-24: what this relationship's bundles authenticate for others is fetched anew, or no longer. */
async function restartVouched(trx: Db, relationship: Relationship, now: Date): Promise<void> {
  const { meshId, id: relationshipId, domains } = relationship
  const trustDomains = domains.map(({ trustDomain }) => trustDomain)
  await restartVouchedPolls(trx, meshId, { voucher: { relationshipId, trustDomains }, now })
}

/** Polls end and the bundles in use leave with the same commit; revisions stay as history (FE-41). */
async function removeTrust(
  trx: Db,
  { meshId, id, domains }: Relationship,
  at: Date,
): Promise<void> {
  await deletePolls(trx, meshId, id)
  for (const { trustDomain } of domains) {
    const key = { relationshipId: id, trustDomain }
    await retireCurrent(trx, meshId, { key, to: 'removed', at })
    await dropWaiting(trx, meshId, { key, reason: 'the relationship ended', at })
  }
}
