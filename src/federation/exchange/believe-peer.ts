import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { changeStanding } from '../change-standing.ts'
import { type ToldConsent } from './peer-status.ts'
import { type Relationship } from '../relationship.ts'
import { allowedEvents, type StandingEvent } from '../standing.ts'
import { lockRelationshipById } from '../store.ts'

/** The actor of what a peer's word changes. */
export const PEER_ACTOR = 'timer:peer-status'

/** What a peer said of its own consent, asked by us, in which generation of the relationship. */
export interface PeersWord {
  readonly relationshipId: string
  readonly generation: bigint
  readonly consent: ToldConsent
  readonly now: Date
}

/**
 * Has a relationship follow what its peer answered: its consent given or withheld. Answers whether anything changed;
 * nothing does when the relationship is over, or another one than the question was about.
 */
export async function believeConsent(trx: Db, meshId: MeshId, word: PeersWord): Promise<boolean> {
  const { relationshipId, generation, consent, now } = word
  const relationship = await lockRelationshipById(trx, meshId, relationshipId)
  if (relationship === undefined || relationship.state === 'terminated') return false
  if (relationship.generation !== generation) return false
  const event = eventOf(relationship, consent)
  if (event === undefined || !allowedEvents(relationship).includes(event)) return false
  await changeStanding(trx, relationship, {
    event,
    context: { actor: PEER_ACTOR, now },
    reason: event === 'peer-withdraws' ? REASONS[consent] : undefined,
    body: { told: consent },
  })
  return true
}

const REASONS: Readonly<Record<ToldConsent, string | undefined>> = {
  withdrawn: 'the peer has withdrawn its consent',
  pending: 'the peer no longer consents: it waits for an approval on its side',
  given: undefined,
}

/** A peer that consented, or was taken to, and now only waits, consents no more. */
function eventOf({ theirConsent }: Relationship, consent: ToldConsent): StandingEvent | undefined {
  if (consent === 'given') return theirConsent === 'given' ? undefined : 'peer-consents'
  if (theirConsent === 'withdrawn') return undefined
  return consent === 'withdrawn' || theirConsent !== 'pending' ? 'peer-withdraws' : undefined
}

/** Has a relationship follow its peer's verified word that it has ended: nothing of it is used any more. */
export async function endByPeer(
  trx: Db,
  peer: { readonly meshId: MeshId; readonly relationshipId: string },
  { reason, now }: { readonly reason: string | undefined; readonly now: Date },
): Promise<void> {
  const relationship = await lockRelationshipById(trx, peer.meshId, peer.relationshipId)
  if (relationship === undefined) return
  if (!allowedEvents(relationship).includes('peer-withdraws')) return
  const why = reason === undefined ? '' : `: ${reason}`
  await changeStanding(trx, relationship, {
    event: 'peer-withdraws',
    context: { actor: PEER_ACTOR, now },
    reason: `the peer has terminated the relationship${why}`,
    body: { told: 'terminated', peersReason: reason ?? null },
  })
}
