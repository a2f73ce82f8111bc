import { type Static } from 'typebox'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type ExchangeBody } from './exchange-api.ts'
import { listWaitingNotices } from './notice-store.ts'
import { listPeerExchanges, type PeerExchangeView } from './peer-exchange-store.ts'
import { type Exchange, type Relationship } from '../relationship.ts'

type ExchangeView = Static<typeof ExchangeBody>

/** Reads how the channels to these peers stand, in two statements, and answers with a function that shows one. */
export async function viewExchanges(
  db: Db,
  meshId: MeshId,
  relationships: readonly Relationship[],
): Promise<(relationship: Relationship) => ExchangeView | null> {
  const ids = relationships.filter(({ exchange }) => exchange !== undefined).map(({ id }) => id)
  const channels = new Map(
    (await listPeerExchanges(db, meshId, ids)).map((one) => [one.relationshipId, one]),
  )
  const notices = Map.groupBy(
    await listWaitingNotices(db, meshId, ids),
    ({ relationshipId }) => relationshipId,
  )
  return ({ id, exchange }) =>
    exchange === undefined
      ? null
      : viewOne(exchange, { channel: channels.get(id), waiting: notices.get(id) ?? [] })
}

function viewOne(
  { id, url }: Exchange,
  about: {
    readonly channel: PeerExchangeView | undefined
    readonly waiting: readonly { readonly lastError: string | null }[]
  },
): ExchangeView {
  const { channel, waiting } = about
  const consent = channel?.told?.['consent']
  return {
    id,
    url,
    askedAt: momentOf(channel?.askedAt),
    answeredAt: momentOf(channel?.answeredAt),
    lastError: channel?.lastError ?? null,
    theySay: typeof consent === 'string' ? consent : null,
    noticedAt: momentOf(channel?.noticedAt),
    notifiedAt: momentOf(channel?.notifiedAt),
    noticesWaiting: waiting.length,
    noticeError: waiting.find(({ lastError }) => lastError !== null)?.lastError ?? null,
  }
}

function momentOf(moment: Date | undefined): string | null {
  return moment?.toISOString() ?? null
}
