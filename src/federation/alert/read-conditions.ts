import { addSeconds } from '../../clock.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { type Condition, distinct, expiryHorizon, peerConditions } from './alert-conditions.ts'
import {
  listChangingDomains,
  listDatedRelationships,
  listEndingDomains,
  listTroubledPolls,
  listWaitingDocuments,
} from './alert-facts-store.ts'
import { type AlertSource } from './alert-source.ts'
import { anchorsIn } from '../poll/anchors.ts'
import { type Coverage, coverageOf } from './forecast.ts'
import { listOwnRevisions } from './forecast-store.ts'
import {
  DEAD_SHOWN_SECONDS,
  FORCED_SHOWN_SECONDS,
  ownConditions,
  VANISHED_MIN_SECONDS,
} from './own-conditions.ts'
import {
  listDeadWebhooks,
  listForcedAuthorities,
  listTroubledReaders,
  type PollingReader,
} from './own-facts-store.ts'

/** Everything that holds now, read from the database alone, so that every replica finds the same. */
export async function readConditions(
  db: Db,
  now: Date,
  sources: readonly AlertSource[] = [],
): Promise<Condition[]> {
  const peers = peerConditions(
    {
      polls: await listTroubledPolls(db, now),
      ending: await listEndingDomains(db, now),
      waiting: await listWaitingDocuments(db),
      changing: await listChangingDomains(db, now),
      dated: await listDatedRelationships(db, { now, until: expiryHorizon(now) }),
    },
    now,
  )
  const readers = await listTroubledReaders(db, addSeconds(now, -VANISHED_MIN_SECONDS))
  const coverage = await heldCoverages(db, readers, now)
  const own = ownConditions(
    {
      readers,
      coverageOf: (reader) => coverage.get(heldKey(reader)),
      forced: await listForcedAuthorities(db, addSeconds(now, -FORCED_SHOWN_SECONDS)),
      deadWebhooks: await listDeadWebhooks(db, addSeconds(now, -DEAD_SHOWN_SECONDS)),
    },
    now,
  )
  const further: Condition[] = []
  for (const source of sources) further.push(...(await source(db, now)))
  return distinct([...peers, ...own, ...further])
}

/** How long the revisions of ours last that peers who are behind still hold; each is read once. */
async function heldCoverages(
  db: Db,
  readers: readonly PollingReader[],
  now: Date,
): Promise<ReadonlyMap<string, Coverage>> {
  const behind = readers.filter(({ sequence, current, isActive }) => isActive && sequence < current)
  const found = new Map<string, Coverage>()
  for (const [meshId, held] of Map.groupBy(behind, (reader) => reader.meshId)) {
    for (const one of await listOwnRevisions(db, meshId, held)) {
      const { bundle } = readDocument(one.trustDomain, one.document)
      const coverage = coverageOf(anchorsIn(bundle.x509Authorities).windows, now)
      if (coverage !== undefined) found.set(heldKey({ meshId, ...one }), coverage)
    }
  }
  return found
}

function heldKey(held: {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly sequence: bigint
}): string {
  return `${held.meshId} ${held.trustDomain} ${held.sequence}`
}
