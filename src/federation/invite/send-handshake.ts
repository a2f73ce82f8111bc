import { ERROR_CODES, type ErrorCode, messageOf, ServiceError } from '../../errors.ts'
import { type CallAnswer } from '../../http/outbound.ts'
import { isJsonObject, type JsonObject, parseJson } from '../../spiffe/json.ts'
import { type AcceptDeps, type Acceptance, renewHandshake } from './begin-acceptance.ts'
import { proofOf } from './fetch-side.ts'
import {
  HANDSHAKE_MEDIA_TYPE,
  type HandshakeAnswer,
  parseHandshake,
  readHandshakeAnswer,
} from './handshake.ts'

/**
 * Sends the message of an acceptance to the endpoint that the invite pins, and proves the answer.
 *
 * A message of an earlier attempt is sent as it was, since the inviter gives it the answer that was lost; only when it
 * is refused and too old by now is a fresh one sent. Throws what the connection fails with, the inviter's refusal
 * (INVITE_OVER, INVITE_REFUSED, RATE_LIMITED, PEER_ANSWER_REFUSED), or SVID_INVALID.
 */
export async function sendHandshake(deps: AcceptDeps, begun: Acceptance): Promise<HandshakeAnswer> {
  try {
    return await sendOnce(deps, begun, begun.handshake)
  } catch (error) {
    const isRefused = error instanceof ServiceError && error.code === 'INVITE_REFUSED'
    if (begun.isNew || !isRefused || !(await isTooOld(deps, begun.handshake))) throw error
    return sendOnce(deps, begun, await renewHandshake(deps, begun))
  }
}

async function isTooOld({ db, now }: AcceptDeps, handshake: string): Promise<boolean> {
  return parseHandshake(handshake).expiresAt <= (await now(db))
}

async function sendOnce(
  deps: AcceptDeps,
  { invite, side, relationship }: Acceptance,
  token: string,
): Promise<HandshakeAnswer> {
  const [primary] = invite.side.domains
  if (primary === undefined) throw new Error('a side has a trust domain')
  const outcome = await deps.outbound.request({
    method: 'POST',
    url: invite.handshakeUrl,
    meshId: relationship.meshId,
    proof: proofOf(invite.side, primary),
    body: Buffer.from(token, 'latin1'),
    contentType: HANDSHAKE_MEDIA_TYPE,
    accept: HANDSHAKE_MEDIA_TYPE,
  })
  if ('error' in outcome) throw outcome.error
  const { answer } = outcome
  if (answer.status !== 200) throw refusalIn(answer)
  const text = Buffer.from(answer.body).toString('latin1')
  const now = await deps.now(deps.db)
  try {
    return readHandshakeAnswer(text, { invited: invite.side, token, acceptor: side, now })
  } catch (cause) {
    if (!(cause instanceof ServiceError)) throw cause
    throw new ServiceError(
      'PEER_ANSWER_REFUSED',
      `their answer is not what it must be: ${cause.message}`,
      { cause },
    )
  }
}

/** Codes of the inviter that say the same to our operator; everything else is a refused answer with its reason. */
const SAME_CODE: ReadonlySet<ErrorCode> = new Set(['INVITE_OVER', 'INVITE_REFUSED', 'RATE_LIMITED'])

function refusalIn(answer: CallAnswer): ServiceError {
  const problem = problemIn(answer)
  const found = problem?.get('code')
  const code = ERROR_CODES.find((known) => known === found && SAME_CODE.has(known))
  const detail = problem?.get('detail')
  const reason = typeof detail === 'string' ? printable(detail) : `status ${answer.status}`
  const retry =
    answer.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: answer.retryAfterSeconds }
  const next =
    code === 'INVITE_OVER' || code === 'INVITE_REFUSED'
      ? 'ask for another invite'
      : 'when they have put it right, accept the same invite again'
  return new ServiceError(code ?? 'PEER_ANSWER_REFUSED', `they answered: ${reason}`, {
    ...retry,
    next,
  })
}

function problemIn({ contentType, body }: CallAnswer): JsonObject | undefined {
  if (contentType !== 'application/problem+json') return undefined
  try {
    const value = parseJson(body, { maxBytes: 64 * 1024 })
    return isJsonObject(value) ? value : undefined
  } catch (error) {
    if (error instanceof ServiceError) return undefined
    throw new Error(messageOf(error), { cause: error })
  }
}

/** What the other side writes is shown to a person: one line, and not too long. */
function printable(text: string): string {
  return text.slice(0, 300).replaceAll(/[^\x20-\x7e]/g, '?')
}
