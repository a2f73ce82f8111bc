import { type ChangeContext } from '../../audit/record.ts'
import { inTransaction } from '../../db/connect.ts'
import { type MeshId } from '../../db/ids.ts'
import { type ErrorCode, ServiceError } from '../../errors.ts'
import { changeStanding } from '../change-standing.ts'
import { type NamedFingerprint } from './create-invite.ts'
import { type FirstBundle } from '../peer-bundle/insert-given.ts'
import { fetchSide } from './fetch-side.ts'
import { bundleFingerprint } from './fingerprint.ts'
import { type AnsweredConsent, type HandshakeAnswer, parseHandshake } from './handshake.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { checkInvite } from './check-invite.ts'
import { type Invite, parseInvite } from './invite.ts'
import { trustedSide } from './trusted-side.ts'
import { proveAcceptance } from './prove-acceptance.ts'
import { isUnproven, type Relationship } from '../relationship.ts'
import {
  type AcceptDeps,
  type Acceptance,
  beginAcceptance,
  undoAcceptance,
} from './begin-acceptance.ts'
import { sendHandshake } from './send-handshake.ts'
import { lockRelationshipById } from '../store.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** The steps of accepting an invite, in their order. */
export const ACCEPT_STEPS = [
  'invite valid',
  'we reached them',
  'they reached us',
  'both bundles verified',
] as const

/** One of {@link ACCEPT_STEPS}. */
export type AcceptStep = (typeof ACCEPT_STEPS)[number]

/** An invite that somebody sent us, and on whose word it is accepted. */
export interface AcceptInvite {
  readonly text: string
  /** Our name for the inviter; its announced mesh name when absent. */
  readonly as?: string | undefined
  readonly actor: string
  /** Check and reach them, change nothing and send nothing. */
  readonly dryRun: boolean
}

/** What came of it. */
export interface AcceptedInvite {
  readonly invite: Invite
  readonly relationship: Relationship
  /** How many of {@link ACCEPT_STEPS} were done: two in a dry run. */
  readonly steps: number
  /** The inviter's consent; undefined in a dry run. */
  readonly consent: AnsweredConsent | undefined
  readonly ours: readonly NamedFingerprint[]
  readonly theirs: readonly NamedFingerprint[]
}

/**
 * Accepts an invite: reads it, fetches the inviter's bundles, makes our side of the relationship, has the inviter
 * fetch our bundles, proves its answer, and only then gives our consent. Accepting the same invite again continues
 * where it stopped.
 *
 * Whatever fails is thrown with the name of its step: INVITE_INVALID, INVITE_OVER, INVITE_REFUSED, ALREADY_EXISTS,
 * EGRESS_REFUSED with the command that helps, and what a connection fails with.
 */
export async function acceptInvite(
  deps: AcceptDeps,
  meshId: MeshId,
  request: AcceptInvite,
): Promise<AcceptedInvite> {
  const checked = await atStep('invite valid', async () => {
    const parsed = parseInvite(request.text)
    const invite = { ...parsed, side: await trustedSide(deps.db, meshId, parsed.side) }
    return { invite, ...(await checkInvite(deps, meshId, { invite, as: request.as })) }
  })
  const { invite } = checked
  const first = await atStep('we reached them', () => reach(deps, meshId, invite))
  const begun = await atStep('they reached us', () =>
    beginAcceptance(deps, meshId, { ...checked, first, request }),
  )
  const theirs = fingerprintsOfBundles(first)
  if (request.dryRun) {
    const { relationship, ours } = begun
    return { invite, relationship, steps: 2, consent: undefined, ours, theirs }
  }
  const answer = await atStep('they reached us', () => shakeHands(deps, begun, request.actor))
  const relationship = await atStep('both bundles verified', () =>
    settle(deps, begun, { answer, first, actor: request.actor }),
  )
  deps.onChanged(meshId)
  const { consent } = answer
  return { invite, relationship, steps: ACCEPT_STEPS.length, consent, ours: begun.ours, theirs }
}

/** Milliseconds for each bundle of the inviter. */
const REACH_MS = 10_000

const STALE: Partial<Record<ErrorCode, string>> = {
  PEER_IDENTITY_REFUSED:
    'if they replaced all their keys since the invite was made, ask for another invite',
  PEER_ANSWER_REFUSED: 'if the invite was cancelled or replaced, ask for another invite',
}

async function reach(
  deps: AcceptDeps,
  meshId: MeshId,
  { side }: Invite,
): Promise<ReadonlyMap<TrustDomain, FirstBundle>> {
  try {
    return await fetchSide(deps, side, { meshId, timeoutMs: REACH_MS })
  } catch (cause) {
    const next = cause instanceof ServiceError ? STALE[cause.code] : undefined
    if (!(cause instanceof ServiceError) || next === undefined) throw cause
    throw new ServiceError(cause.code, cause.message, { cause, next })
  }
}

/** Refusals after which the same invite can never succeed; what was made for it is taken away again. */
const FINAL: ReadonlySet<string> = new Set(['INVITE_OVER', 'INVITE_REFUSED'])

async function shakeHands(
  deps: AcceptDeps,
  begun: Acceptance,
  actor: string,
): Promise<HandshakeAnswer> {
  try {
    return await sendHandshake(deps, begun)
  } catch (error) {
    if (error instanceof ServiceError && FINAL.has(error.code))
      await undoAcceptance(deps, begun, actor)
    throw error
  }
}

/** Gives our consent and takes the inviter's word: it fetched the bundles that we publish, and consents or will be asked. */
async function settle(
  deps: AcceptDeps,
  begun: Acceptance,
  {
    answer,
    first,
    actor,
  }: {
    readonly answer: HandshakeAnswer
    readonly first: ReadonlyMap<TrustDomain, FirstBundle>
    readonly actor: string
  },
): Promise<Relationship> {
  refuseOtherBundles(answer, begun)
  const { meshId, id } = begun.relationship
  return inTransaction(deps.db, async (trx) => {
    const context: ChangeContext = { actor, now: await deps.now(trx) }
    const locked = await lockRelationshipById(trx, meshId, id)
    if (locked === undefined) throw gone(begun)
    if (locked.state === 'terminated') throw gone(begun)
    const { invite } = begun
    const proven = isUnproven(locked)
      ? await proveAcceptance(trx, locked, { invite, first, context })
      : locked
    if (answer.consent !== 'given' || proven.theirConsent === 'given') return proven
    return changeStanding(trx, proven, { event: 'peer-consents', context })
  })
}

/** Each bundle of ours must be one that we sent along or publish now. */
function refuseOtherBundles({ seen }: HandshakeAnswer, { side, handshake }: Acceptance): void {
  const sent = parseHandshake(handshake).acceptor.domains.map(({ read }) => read)
  const now = side.domains.map(({ trustDomain, document }) => readDocument(trustDomain, document))
  const known = new Set(
    [...sent, ...now].map(({ bundle, digest }) => keyOf(bundle.trustDomain, digest)),
  )
  const isComplete = side.domains.every(({ trustDomain }) =>
    seen.some((bundle) => bundle.trustDomain === trustDomain),
  )
  const isOurs = seen.every(({ trustDomain, digest }) => known.has(`${trustDomain} ${digest}`))
  if (isComplete && isOurs) return
  throw new ServiceError(
    'PEER_ANSWER_REFUSED',
    'they fetched another bundle of ours than the one that we publish; something between them and us changes it',
    { next: 'if our keys changed just now, accept the same invite again' },
  )
}

function keyOf(trustDomain: TrustDomain, digest: Uint8Array): string {
  return `${trustDomain} ${Buffer.from(digest).toString('hex')}`
}

function fingerprintsOfBundles(first: ReadonlyMap<TrustDomain, FirstBundle>): NamedFingerprint[] {
  return [...first].map(([trustDomain, { read }]) => ({
    trustDomain,
    fingerprint: bundleFingerprint(read.bundle),
  }))
}

async function atStep<T>(step: AcceptStep, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof ServiceError) || error.step !== undefined) throw error
    const { code, message, next, fields, retryAfterSeconds } = error
    throw new ServiceError(code, message, {
      cause: error,
      step,
      fields,
      ...(next === undefined ? {} : { next }),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    })
  }
}

function gone({ relationship }: Acceptance): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `relationship ${relationship.name} was ended or deleted meanwhile`,
  )
}
