import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { bumpChange } from '../../db/changes.ts'
import { newId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { activateIfReady } from '../activate.ts'
import { announceProposal } from '../exchange/announce.ts'
import { auditedRelationship } from '../audited-relationship.ts'
import { insertGiven } from '../peer-bundle/insert-given.ts'
import { deleteDomain, insertDomain, updateDomain } from '../domain-store.ts'
import { dropWaiting } from '../peer-bundle/quarantine-store.ts'
import { type JudgedParameters, judgeParameters } from './judge-parameters.ts'
import { deletePoll, insertPoll, restartPoll } from '../poll/poll-store.ts'
import { changesOf, digestOfParameters, type Proposal } from './proposal.ts'
import { deleteProposal } from './proposal-store.ts'
import { recordTrust } from '../trust/record-trust.ts'
import {
  isPolled,
  type NewDomain,
  type Relationship,
  type RelationshipDomain,
} from '../relationship.ts'
import { retireCurrent } from '../peer-bundle/revision-store.ts'
import { lockRelationshipById, updateRelationship } from '../store.ts'
import { restartVouchedPolls } from '../poll/vouching-store.ts'

/** A proposal that both sides consented to. */
export interface ApplyProposal {
  readonly proposal: Proposal
  /** `assumed` where the peer does not speak Entente and our consent counted for both. */
  readonly theirs: 'given' | 'assumed'
  readonly context: ChangeContext
}

/**
 * Puts proposed parameters in the place of those in force: domains, polls, proposal and audit record in the caller's
 * transaction, which holds the relationship's lock.
 *
 * The next fetch of every domain is unconditional and due at once; what is in flight belongs to the generation before
 * and is thrown away. The bundle in use stays only where the trust domain does. Throws what judging a new
 * relationship throws: what was agreed may not be possible any more.
 */
export async function applyProposal(
  trx: Db,
  before: Relationship,
  { proposal, theirs, context }: ApplyProposal,
): Promise<Relationship> {
  const { parameters } = proposal
  const judged = await judgeParameters(trx, before, { parameters, now: context.now })
  const after = changed(before, judged)
  await updateRelationship(trx, after)
  await replaceDomains(trx, before, { judged, after, context })
  await deleteProposal(trx, before, proposal.origin)
  await restartVouched(trx, { before, after, now: context.now })
  await recordAudit(trx, {
    meshId: before.meshId,
    actor: context.actor,
    action: 'relationship.apply-change',
    object: `relationship/${before.name}`,
    at: context.now,
    body: {
      proposal: proposal.id,
      digest: digestOfParameters(parameters),
      origin: proposal.origin,
      theirConsent: theirs,
      changes: changesOf(before, parameters),
      before: auditedRelationship(before),
      after: auditedRelationship(after, judged.domains),
    },
  })
  await announceProposal(trx, after, context.now)
  const event = { event: 'relationship.apply-change', actor: context.actor, at: context.now }
  await recordTrust(trx, after, event)
  await activateIfReady(trx, after, context)
  await bumpChange(trx, before.meshId, 'relationship')
  return (await lockRelationshipById(trx, before.meshId, before.id)) ?? after
}

function changed(before: Relationship, { domains, exchange }: JudgedParameters): Relationship {
  const known = new Map(before.domains.map((domain) => [domain.trustDomain, domain]))
  return {
    ...before,
    exchange,
    generation: before.generation + 1n,
    version: before.version + 1n,
    domains: domains
      .map(({ given: _given, ...domain }) => ({
        readerId: before.domains[0]?.readerId,
        relayId: newId(),
        firstDigest: undefined,
        ...known.get(domain.trustDomain),
        ...domain,
      }))
      .toSorted((one, other) => (one.trustDomain < other.trustDomain ? -1 : 1)),
  }
}

async function replaceDomains(
  trx: Db,
  before: Relationship,
  about: {
    readonly judged: JudgedParameters
    readonly after: Relationship
    readonly context: ChangeContext
  },
): Promise<void> {
  const { judged, after, context } = about
  const wanted = new Map(after.domains.map((domain) => [domain.trustDomain, domain]))
  for (const domain of before.domains) {
    if (!wanted.has(domain.trustDomain)) await removeDomain(trx, before, { domain, context })
  }
  const known = new Map(before.domains.map((domain) => [domain.trustDomain, domain]))
  for (const { given, trustDomain } of judged.domains) {
    const domain = wanted.get(trustDomain)
    if (domain === undefined) continue
    const old = known.get(trustDomain)
    await putDomain(trx, after, { domain, old, given, context })
  }
}

/** Its revisions go with it; the history of trust keeps what was trusted. */
async function removeDomain(
  trx: Db,
  { meshId, id }: Relationship,
  { domain, context }: { readonly domain: RelationshipDomain; readonly context: ChangeContext },
): Promise<void> {
  const key = { relationshipId: id, trustDomain: domain.trustDomain }
  await retireCurrent(trx, meshId, { key, to: 'removed', at: context.now })
  await deleteDomain(trx, meshId, key)
}

async function putDomain(
  trx: Db,
  { meshId, id }: Relationship,
  about: {
    readonly domain: RelationshipDomain
    readonly old: RelationshipDomain | undefined
    readonly given: NewDomain['given']
    readonly context: ChangeContext
  },
): Promise<void> {
  const { domain, old, given, context } = about
  const key = { relationshipId: id, trustDomain: domain.trustDomain }
  if (old === undefined) await insertDomain(trx, { meshId, id, domain })
  else await updateDomain(trx, { meshId, id, domain })
  await putPoll(trx, { meshId, key, domain, old, now: context.now })
  if (given === undefined) return
  await retireCurrent(trx, meshId, { key, to: 'superseded', at: context.now })
  await dropWaiting(trx, meshId, { key, reason: 'its parameters changed', at: context.now })
  await insertGiven(trx, meshId, { key, read: given, context })
}

async function putPoll(
  trx: Db,
  about: {
    readonly meshId: Relationship['meshId']
    readonly key: {
      readonly relationshipId: string
      readonly trustDomain: NewDomain['trustDomain']
    }
    readonly domain: RelationshipDomain
    readonly old: RelationshipDomain | undefined
    readonly now: Date
  },
): Promise<void> {
  const { meshId, key, domain, old, now } = about
  const wasPolled = old !== undefined && isPolled(old.source)
  if (!isPolled(domain.source)) await deletePoll(trx, meshId, key)
  else if (wasPolled) await restartPoll(trx, meshId, { key, now })
  else await insertPoll(trx, meshId, { key, now })
}

/** FE-24: whatever this relationship's domains authenticate for others is fetched anew. */
async function restartVouched(
  trx: Db,
  {
    before,
    after,
    now,
  }: { readonly before: Relationship; readonly after: Relationship; readonly now: Date },
): Promise<void> {
  const names = [...before.domains, ...after.domains].map(({ trustDomain }) => trustDomain)
  const voucher = { relationshipId: before.id, trustDomains: [...new Set(names)] }
  await restartVouchedPolls(trx, before.meshId, { voucher, now })
}
