import { inTransaction } from '../../db/connect.ts'
import { type DbClock } from '../../db/time.ts'
import { isServiceError } from '../../errors.ts'
import { type Metrics } from '../../http/metrics.ts'
import { exchangeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import {
  type ArrivedCall,
  type Authentication,
  type AuthenticatedPeer,
  authenticatePeer,
  type AuthenticatePeerDeps,
  type ClaimedPeer,
} from './authenticate-peer.ts'
import { endByPeer } from './believe-peer.ts'
import { type Notice } from './notice.ts'
import { askSoon, findByDomains, pollForNews, pollNow, takeHint } from './peer-news-store.ts'

/** What taking notices needs. */
export interface TakeNoticeDeps extends AuthenticatePeerDeps {
  readonly now: DbClock
  readonly metrics: Pick<Metrics, 'notices' | 'peerRequests'>
  /** Looks for due polls and asks at once. */
  readonly kick: () => void
}

/** Least seconds between polls that verified notices lead to. */
const POLL_SPACING_SECONDS = 5
/** Least seconds between questions that verified notices lead to; the limit per relationship bounds them too. */
const ASK_SPACING_SECONDS = 0.2

/** What became of a notice; its sender is never told. */
type Taken = 'verified' | 'hint' | 'ignored'

/**
 * Takes a notice: one that can be verified has the peer polled or asked at once, one that cannot (as when we miss
 * its sender's newest key) is a hint that counts once per relationship and minute, and none says anything that is
 * believed but the end of a relationship.
 */
export async function takeNotice(
  deps: TakeNoticeDeps,
  arrived: ArrivedCall,
  notice: Notice,
): Promise<void> {
  const taken = await takeFrom(deps, await authenticated(deps, arrived), notice)
  const { kind } = notice
  deps.metrics.peerRequests.inc({
    kind: 'notice',
    outcome: taken === 'verified' ? 'served' : 'refused',
  })
  deps.metrics.notices.inc({ direction: 'received', kind, outcome: taken })
  if (taken !== 'ignored') deps.kick()
}

async function takeFrom(
  deps: TakeNoticeDeps,
  found: Authentication | undefined,
  notice: Notice,
): Promise<Taken> {
  if (found === undefined) return 'ignored'
  if ('peer' in found) return takeVerified(deps, found.peer, notice)
  return takeClaim(deps, found.claimed, notice)
}

async function takeVerified(
  deps: TakeNoticeDeps,
  peer: AuthenticatedPeer,
  notice: Notice,
): Promise<Taken> {
  const { db } = deps
  const { meshId, relationshipId } = peer
  const now = await deps.now(db)
  if (notice.kind === 'termination') {
    await inTransaction(db, (trx) => endByPeer(trx, peer, { reason: notice.reason, now }))
    return 'verified'
  }
  const news = { relationshipId, now }
  if (notice.kind === 'bundle') {
    const { trustDomain, sequence } = notice
    const spacingSeconds = POLL_SPACING_SECONDS
    await pollForNews(db, meshId, { ...news, spacingSeconds, trustDomain, sequence })
  }
  // After a bundle too, a little later: the answer shows whether the early poll brought what was announced.
  const later = notice.kind === 'bundle' ? POLL_SPACING_SECONDS : 0
  await askSoon(db, meshId, {
    relationshipId,
    now,
    delaySeconds: later,
    spacingSeconds: ASK_SPACING_SECONDS,
  })
  return 'verified'
}

/** Undefined for a proven peer that calls too often. */
async function authenticated(
  deps: TakeNoticeDeps,
  arrived: ArrivedCall,
): Promise<Authentication | undefined> {
  try {
    return await authenticatePeer(deps, arrived)
  } catch (error) {
    if (isServiceError(error, 'RATE_LIMITED')) return undefined
    throw error
  }
}

/** A hint is by whoever sent it: it names a mesh of ours and a domain of a peer, and no more is taken from it. */
async function takeClaim(
  deps: TakeNoticeDeps,
  claimed: ClaimedPeer | undefined,
  { trustDomain: theirs }: Notice,
): Promise<Taken> {
  if (claimed === undefined) return 'ignored'
  const ours = trustDomainOf(claimed.to)
  if (claimed.to !== exchangeId(ours)) return 'ignored'
  const found = await findByDomains(deps.db, { ours, theirs })
  if (found === undefined) return 'ignored'
  const { meshId, relationshipId } = found
  const news = { relationshipId, now: await deps.now(deps.db) }
  if (!(await takeHint(deps.db, meshId, news))) return 'ignored'
  await pollNow(deps.db, meshId, news)
  return 'hint'
}
