import { type Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { PEER_ACTOR } from './believe-peer.ts'
import { type AskTask, findTold } from './peer-exchange-store.ts'
import { type PeerStatus, type ToldParameters } from './peer-status.ts'
import { changesOf, digestOfParameters, type Proposal } from '../proposal/proposal.ts'
import { listProposals } from '../proposal/proposal-store.ts'
import { consentToProposal, dropProposal, proposeChange } from '../proposal/propose-change.ts'
import { type Relationship } from '../relationship.ts'
import { lockRelationshipById } from '../store.ts'

/** What a peer's words about itself led to. */
export type FollowedParameters = 'proposed' | 'taken-back' | 'applied' | 'impossible' | undefined

/**
 * Compares what a peer says of itself with what is in force: a difference is a proposal of the peer, which a person
 * approves or drops; one that was dropped is not proposed again until the peer says something else. What we
 * ourselves proposed and the peer says likewise has its consent.
 */
export async function followParameters(
  trx: Db,
  task: AskTask,
  { told, now }: { readonly told: PeerStatus; readonly now: Date },
): Promise<FollowedParameters> {
  const { meshId, relationshipId } = task
  const relationship = await lockRelationshipById(trx, meshId, relationshipId)
  const { parameters } = told
  if (parameters === undefined || relationship?.exchange?.id !== task.exchange.id) return undefined
  if (relationship.state === 'terminated') return undefined
  // Who calls us cannot change by its own word: another identity would be another peer.
  if (parameters.parameters.exchange?.id !== task.exchange.id) return undefined
  const open = await listProposals(trx, relationship)
  const subject = { relationship, parameters, open, now }
  const agreed = await agree(trx, subject)
  return agreed ?? compare(trx, subject, task)
}

interface Subject {
  readonly relationship: Relationship
  readonly parameters: ToldParameters
  readonly open: readonly Proposal[]
  readonly now: Date
}

async function agree(trx: Db, subject: Subject): Promise<FollowedParameters> {
  const { relationship, parameters, open, now } = subject
  const ours = open.find(({ origin }) => origin === 'ours')
  if (ours === undefined || ours.theirConsent) return undefined
  if (digestOfParameters(ours.parameters) !== parameters.digest) return undefined
  const { isApplied } = await consentToProposal(trx, relationship, {
    proposal: { id: ours.id },
    side: 'theirs',
    context: { actor: PEER_ACTOR, now },
  })
  return isApplied ? 'applied' : undefined
}

async function compare(trx: Db, subject: Subject, task: AskTask): Promise<FollowedParameters> {
  const { relationship, parameters, open, now } = subject
  const context = { actor: PEER_ACTOR, now }
  const theirs = open.find(({ origin }) => origin === 'theirs')
  const differs = changesOf(relationship, parameters.parameters).length > 0
  if (theirs !== undefined && digestOfParameters(theirs.parameters) === parameters.digest) {
    return undefined
  }
  if (!differs) {
    if (theirs === undefined) return undefined
    await dropProposal(trx, relationship, { proposal: { id: theirs.id }, side: 'theirs', context })
    return 'taken-back'
  }
  if ((await findTold(trx, task.meshId, task.relationshipId)) === parameters.digest) {
    return undefined
  }
  await proposeChange(trx, relationship, {
    origin: 'theirs',
    parameters: parameters.parameters,
    context,
  })
  return 'proposed'
}

/** Why a peer's parameters cannot be proposed: what it says of itself cannot be here. */
export function impossible(error: unknown): error is ServiceError {
  return error instanceof ServiceError && IMPOSSIBLE.has(error.code)
}

const IMPOSSIBLE = new Set([
  'ALREADY_EXISTS',
  'BUNDLE_MALFORMED',
  'CONFLICT',
  'ENDPOINT_URL_INVALID',
  'RELATIONSHIP_INVALID',
  'SPIFFE_ID_INVALID',
  'TRUST_DOMAIN_INVALID',
])
