import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { bumpChange } from '../../db/changes.ts'
import { newId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { applyProposal } from './apply-proposal.ts'
import { judgeParameters } from './judge-parameters.ts'
import {
  changesOf,
  digestOfParameters,
  type Proposal,
  type ProposalOrigin,
  type ProposedParameters,
} from './proposal.ts'
import { deleteProposal, insertProposal, listProposals, updateConsents } from './proposal-store.ts'
import { type Relationship } from '../relationship.ts'
import { updateRelationship } from '../store.ts'

/** A change that one side wants, and on whose word. */
export interface ProposeChange {
  readonly origin: ProposalOrigin
  readonly parameters: ProposedParameters
  readonly note?: string | undefined
  readonly context: ChangeContext
}

/** Which proposal, by its id or by the digest of its parameters. */
export type ProposalName = { readonly id: string } | { readonly digest: string }

/** A consent or a refusal of one side, to exactly one proposal. */
export interface ProposalDecision {
  readonly proposal: ProposalName
  readonly side: ProposalOrigin
  readonly context: ChangeContext
}

/** A relationship and a proposal of it; the proposal is absent once it has been applied or dropped. */
export interface Proposed {
  readonly relationship: Relationship
  readonly proposal: Proposal
  readonly isApplied: boolean
}

/**
 * Puts a change of pinned parameters beside those in force, which stay so; one from the same side is replaced.
 *
 * A change that the peer wants has the peer's consent by that; ours is a decision of its own. The caller holds the
 * relationship's lock. Throws CONFLICT when the relationship is over or local or nothing would change, and what
 * judging a new relationship throws.
 */
export async function proposeChange(
  trx: Db,
  relationship: Relationship,
  { origin, parameters, note, context }: ProposeChange,
): Promise<Proposed> {
  refuseFixed(relationship)
  if (changesOf(relationship, parameters).length === 0) throw noChange(relationship)
  await judgeParameters(trx, relationship, { parameters, now: context.now })
  const proposal: Proposal = {
    id: newId(),
    origin,
    parameters,
    ourConsent: false,
    theirConsent: origin === 'theirs',
    note,
    createdAt: context.now,
    createdBy: context.actor,
  }
  await deleteProposal(trx, relationship, origin)
  await insertProposal(trx, relationship, proposal)
  const after = await touched(trx, relationship, { proposal, act: 'propose-change', context })
  return { relationship: after, proposal, isApplied: false }
}

/**
 * Gives one side's consent to a proposal, and applies it once both have consented.
 *
 * A peer that does not speak Entente has no say in our parameters: our consent is both, and recorded so. The caller
 * holds the relationship's lock. Throws NOT_FOUND, and what {@link applyProposal} throws.
 */
export async function consentToProposal(
  trx: Db,
  relationship: Relationship,
  { proposal: name, side, context }: ProposalDecision,
): Promise<Proposed> {
  refuseFixed(relationship)
  const before = await loadProposal(trx, relationship, name)
  const isAlone = side === 'ours' && relationship.theirConsent === 'assumed'
  const proposal: Proposal = {
    ...before,
    ourConsent: before.ourConsent || side === 'ours',
    theirConsent: before.theirConsent || side === 'theirs' || isAlone,
  }
  if (proposal.ourConsent && proposal.theirConsent) {
    const theirs = isAlone ? 'assumed' : 'given'
    const applied = await applyProposal(trx, relationship, { proposal, theirs, context })
    return { relationship: applied, proposal, isApplied: true }
  }
  await updateConsents(trx, relationship, proposal)
  const after = await touched(trx, relationship, { proposal, act: 'approve-change', context })
  return { relationship: after, proposal, isApplied: false }
}

/** Takes a proposal back or refuses it; the parameters in force stay. Throws NOT_FOUND. */
export async function dropProposal(
  trx: Db,
  relationship: Relationship,
  { proposal: name, context }: ProposalDecision,
): Promise<Proposed> {
  const proposal = await loadProposal(trx, relationship, name)
  await deleteProposal(trx, relationship, proposal.origin)
  const after = await touched(trx, relationship, { proposal, act: 'drop-change', context })
  return { relationship: after, proposal, isApplied: false }
}

/** The open proposal of this id or digest; throws NOT_FOUND. */
async function loadProposal(
  db: Db,
  relationship: Relationship,
  name: ProposalName,
): Promise<Proposal> {
  const open = await listProposals(db, relationship)
  const found = open.find(({ id, parameters }) =>
    'id' in name ? id === name.id : digestOfParameters(parameters) === name.digest,
  )
  if (found !== undefined) return found
  throw new ServiceError(
    'NOT_FOUND',
    `relationship ${relationship.name} has no open proposal ${quoted('id' in name ? name.id : name.digest)}`,
    { next: `entente federation proposal list ${relationship.name}` },
  )
}

/** A proposal shows in the relationship, so its version counts it. */
async function touched(
  trx: Db,
  before: Relationship,
  about: { readonly proposal: Proposal; readonly act: string; readonly context: ChangeContext },
): Promise<Relationship> {
  const { proposal, act, context } = about
  const after = { ...before, version: before.version + 1n }
  await updateRelationship(trx, after)
  await recordAudit(trx, {
    meshId: before.meshId,
    actor: context.actor,
    action: `relationship.${act}`,
    object: `relationship/${before.name}`,
    at: context.now,
    body: {
      proposal: proposal.id,
      digest: digestOfParameters(proposal.parameters),
      origin: proposal.origin,
      ourConsent: proposal.ourConsent,
      theirConsent: proposal.theirConsent,
      note: proposal.note ?? null,
      changes: changesOf(before, proposal.parameters),
    },
  })
  await bumpChange(trx, before.meshId, 'relationship')
  return after
}

function refuseFixed({ name, state, domains }: Relationship): void {
  if (state === 'terminated') {
    throw new ServiceError(
      'CONFLICT',
      `relationship ${name} is terminated; nothing of it changes`,
      {
        next: `entente federation delete ${name}`,
      },
    )
  }
  if (domains.every(({ source }) => source !== 'local')) return
  throw new ServiceError(
    'CONFLICT',
    `relationship ${name} reads what a mesh of this service publishes; it has no parameters to change`,
    { next: `entente federation terminate ${name}` },
  )
}

function noChange({ name }: Relationship): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `relationship ${name} has exactly these parameters; nothing would change`,
    { next: `entente federation show ${name}` },
  )
}
