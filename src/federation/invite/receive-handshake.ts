import { randomBytes, timingSafeEqual } from 'node:crypto'
import { canonicalJson } from '../../audit/canonical-json.ts'
import { inTransaction } from '../../db/connect.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { ServiceError } from '../../errors.ts'
import { type Logger } from '../../http/log.ts'
import { type X5cSigner } from '../../pki/x5c-jws.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { refuseOver } from './create-invite.ts'
import { type FetchSideDeps, fetchSide } from './fetch-side.ts'
import { refused, refuseUnexpected, refuseUnexpectedBundle } from './expected-side.ts'
import {
  findTimeFault,
  type Handshake,
  handshakeDigest,
  parseHandshake,
  verifyHandshake,
  writeHandshakeAnswer,
} from './handshake.ts'
import { type HandshakeLimits } from './handshake-limits.ts'
import { inviteHash } from './invite.ts'
import { findInviteByHash, setRefusal, type StoredInvite } from './invite-store.ts'
import { type OurSide } from './our-side.ts'
import { lockRelationshipById } from '../store.ts'
import { takeInvite } from './take-invite.ts'
import { type PeerReaders } from '../create-relationship.ts'
import { trustedSide } from './trusted-side.ts'

/** What answering handshakes needs. */
export interface HandshakeDeps extends FetchSideDeps {
  readonly db: Db
  readonly now: DbClock
  readonly log: Pick<Logger, 'info'>
  readonly side: OurSide
  readonly readers: PeerReaders
  readonly limits: HandshakeLimits
  /** The SVID that this replica's bundle endpoint presents for a trust domain; undefined while it has none. */
  readonly signerOf: (trustDomain: TrustDomain) => X5cSigner | undefined
  /** Called when a relationship was made or its standing changed. */
  readonly onChanged: (meshId: MeshId) => void
}

/** Milliseconds for the acceptor's bundles, within the 10 s for which it waits for our answer. */
const FETCH_MS = 7000

/**
 * Answers the acceptor of an invite of ours: finds the invite by the proof of its secret, proves who speaks, fetches
 * the acceptor's bundles from where it says, and only then uses the invite up and makes the relationship.
 *
 * The caller has counted the message. Before the secret is shown nothing costs more than reading the message and one look-up, and an unknown secret is
 * answered as a malformed message is: INVITE_REFUSED. Throws INVITE_OVER for an invite that is over; what was wrong
 * with a handshake that showed the secret is also noted for our operator.
 */
export async function receiveHandshake(deps: HandshakeDeps, token: string): Promise<string> {
  const handshake = tryParse(token)
  const hash = inviteHash(handshake?.proof ?? randomBytes(32))
  const invite = await findInviteByHash(deps.db, hash)
  const isKnown = invite !== undefined && timingSafeEqual(hash, invite.secretHash)
  if (handshake === undefined || !isKnown) throw notKnown()
  try {
    return await answerInvited(deps, invite, handshake)
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    await noteRefusal(deps, invite, error)
    throw forAcceptor(error)
  }
}

async function answerInvited(
  deps: HandshakeDeps,
  invite: StoredInvite,
  received: Handshake,
): Promise<string> {
  const acceptor = await trustedSide(deps.db, invite.meshId, received.acceptor)
  const handshake = { ...received, acceptor }
  const repeated = await answerAgain(deps, invite, handshake)
  if (repeated !== undefined) return repeated
  const now = await deps.now(deps.db)
  refuseOver(invite, now)
  deps.limits.takeFor(invite.id)
  checkHandshake(invite, handshake, now)
  const { meshId } = invite
  const first = await fetchSide(deps, handshake.acceptor, { meshId, timeoutMs: FETCH_MS })
  refuseUnexpectedBundle(invite, first)
  const taken = await inTransaction(deps.db, async (trx) =>
    takeInvite(trx, deps, { invite, handshake, first, now: await deps.now(trx) }),
  )
  if (taken) deps.onChanged(meshId)
  const after = (await findInviteByHash(deps.db, invite.secretHash)) ?? invite
  const answer = await answerAgain(deps, after, handshake)
  if (taken) deps.log.info({ event: 'invite.used', meshId, id: invite.id }, 'invite used')
  if (answer !== undefined) return answer
  throw new ServiceError('INVITE_OVER', 'this invite is over')
}

/**
 * The answer to the handshake that used an invite, when it comes again: the same content by the same key. Consent is
 * told as it stands now. Undefined for an invite that was not used; throws INVITE_OVER for any other handshake.
 */
async function answerAgain(
  deps: HandshakeDeps,
  invite: StoredInvite,
  handshake: Handshake,
): Promise<string | undefined> {
  const { meshId, use, relationshipId } = invite
  if (use === undefined) return undefined
  const isSame = Buffer.from(use.requestDigest).equals(handshakeDigest(handshake))
  if (!isSame) refuseOver(invite, use.at)
  verifyHandshake(handshake, use.at)
  const relationship =
    relationshipId === undefined
      ? undefined
      : await inTransaction(deps.db, (trx) => lockRelationshipById(trx, meshId, relationshipId))
  if (relationship === undefined || relationship.state === 'terminated') {
    throw new ServiceError('INVITE_OVER', 'this invite was used, and what came of it is over')
  }
  const { side } = await deps.side.tell(deps.db, meshId, invite.readers)
  const consent = relationship.ourConsent === 'assumed' ? 'given' : relationship.ourConsent
  const now = await deps.now(deps.db)
  const answer = { handshake, inviter: side, consent, seen: use.seen, now }
  return writeHandshakeAnswer(answer, signerFor(deps, side.domains[0]?.trustDomain))
}

/** The signer of a trust domain; throws ISSUER_UNAVAILABLE while this replica has none. */
export function signerFor(
  { signerOf }: Pick<HandshakeDeps, 'signerOf'>,
  trustDomain: TrustDomain | undefined,
): X5cSigner {
  const signer = trustDomain === undefined ? undefined : signerOf(trustDomain)
  if (signer !== undefined) return signer
  throw new ServiceError(
    'ISSUER_UNAVAILABLE',
    `this service has no SVID for the bundle endpoint of ${trustDomain} now`,
    { retryAfterSeconds: 2, next: 'entente authority list' },
  )
}

function tryParse(token: string): Handshake | undefined {
  try {
    return parseHandshake(token)
  } catch (error) {
    if (error instanceof ServiceError) return undefined
    throw error
  }
}

function checkHandshake(invite: StoredInvite, handshake: Handshake, now: Date): void {
  const fault = findTimeFault(handshake, now)
  if (fault !== undefined) throw refused(`the message's times are wrong: ${fault}`)
  if (handshake.inviter !== canonicalJson(invite.offered)) {
    throw refused('the invite was changed on its way: it does not say what we wrote in it')
  }
  refuseUnexpected(invite, handshake.acceptor)
  try {
    verifyHandshake(handshake, now)
  } catch (cause) {
    if (!(cause instanceof ServiceError)) throw cause
    throw refused(`the message is not signed as it must be: ${cause.message}`, cause)
  }
}

/** Our operator sees what the other side is told, and the command that only we can run. */
async function noteRefusal(
  { db, now }: HandshakeDeps,
  invite: StoredInvite,
  error: ServiceError,
): Promise<void> {
  if (error.code === 'RATE_LIMITED' || error.code === 'INVITE_OVER') return
  const refusal = { at: await now(db), reason: error.message.slice(0, 500), next: error.next }
  await setRefusal(db, invite.meshId, { id: invite.id, refusal })
}

const FETCH_FAILURES: ReadonlySet<string> = new Set([
  'PEER_UNREACHABLE',
  'PEER_IDENTITY_REFUSED',
  'PEER_ANSWER_REFUSED',
  'BUNDLE_MALFORMED',
])

/** What the acceptor reads: one sentence where only our operator can help, and never our own commands. */
function forAcceptor(error: ServiceError): ServiceError {
  const { code, message, retryAfterSeconds } = error
  const retry = retryAfterSeconds === undefined ? {} : { retryAfterSeconds }
  if (code === 'EGRESS_REFUSED') {
    return new ServiceError(
      'EGRESS_REFUSED',
      'their egress policy does not open your bundle endpoint; their operator was shown the command that does',
    )
  }
  if (code === 'ALREADY_EXISTS') {
    return new ServiceError(code, 'they federate with one of your trust domains already')
  }
  if (FETCH_FAILURES.has(code)) {
    return new ServiceError(error.code, `they cannot fetch your bundle: ${message}`)
  }
  return new ServiceError(code, message, { ...retry, cause: error })
}

function notKnown(): ServiceError {
  return new ServiceError('INVITE_REFUSED', 'no such invite, or no handshake as it must be')
}
