import { type ChangeContext } from '../../audit/record.ts'
import { type Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { changeStanding } from '../change-standing.ts'
import { type FirstBundle, insertFirst } from '../peer-bundle/insert-given.ts'
import { pinFirstBundles } from '../poll/first-bundle-store.ts'
import { insertPoll } from '../poll/poll-store.ts'
import { recoveryLine, writeRecovery } from '../recovery/recovery.ts'
import { isPolled, type Relationship } from '../relationship.ts'
import { type Invite } from './invite.ts'

/** What the inviter's signed answer proves, and its bundles as this attempt fetched them. */
export interface ProvenAcceptance {
  readonly invite: Invite
  readonly first: ReadonlyMap<TrustDomain, FirstBundle>
  readonly context: ChangeContext
}

/**
 * Makes an unproven relationship one that counts, in the caller's transaction: the bundles of this attempt, polls, the
 * exchange with the peer, and our consent. Throws CONFLICT when the invite that was proven tells other endpoints.
 */
export async function proveAcceptance(
  trx: Db,
  unproven: Relationship,
  { invite, first, context }: ProvenAcceptance,
): Promise<Relationship> {
  refuseOtherSide(unproven, invite)
  const { meshId, id } = unproven
  for (const { trustDomain, source } of unproven.domains) {
    const key = { relationshipId: id, trustDomain }
    if (isPolled(source)) await insertPoll(trx, meshId, { key, now: context.now })
    const bundle = first.get(trustDomain)
    if (bundle === undefined) continue
    await insertFirst(trx, meshId, { key, ...bundle, origin: 'fetched', context })
  }
  await pinFirstBundles(trx, meshId, id)
  const { exchange } = invite.side
  const proven = { ...unproven, exchange, standingReason: undefined }
  return changeStanding(trx, proven, { event: 'approve', context })
}

/**
 * Refuses an invite that tells other endpoints than the one that the relationship was made for: the same secret with
 * another content, so one of the two was changed on its way. Throws CONFLICT.
 */
export function refuseOtherSide({ name, domains }: Relationship, { side }: Invite): void {
  const made = domains.map(({ trustDomain, source, endpointUrl, endpointId, recovery }) =>
    lineOf([
      trustDomain,
      source,
      endpointUrl,
      endpointId,
      ...recovery.map((path) => recoveryLine(writeRecovery(path))),
    ]),
  )
  const told = side.domains.map(({ trustDomain, profile, url, endpointId, recovery }) =>
    lineOf([
      trustDomain,
      profile,
      url,
      endpointId,
      ...recovery.map((path) => recoveryLine(writeRecovery(path))),
    ]),
  )
  if (made.toSorted().join('\n') === told.toSorted().join('\n')) return
  throw new ServiceError(
    'CONFLICT',
    `relationship ${name} was made for another form of this invite, with other endpoints; one of the two was changed on its way, and nothing of it is trusted`,
    {
      next: `entente federation terminate ${name}; entente federation delete ${name}; then accept an invite that came a safe way`,
    },
  )
}

function lineOf(parts: readonly (string | undefined)[]): string {
  return JSON.stringify(parts.map((part) => part ?? null))
}
