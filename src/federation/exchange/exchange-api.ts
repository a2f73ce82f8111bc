import { Type } from 'typebox'

const MomentOrNull = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])
const TextOrNull = Type.Union([Type.String(), Type.Null()])

/** The channel to a peer that speaks Entente too. */
export const ExchangeBody = Type.Object({
  id: Type.String({ description: 'SPIFFE ID in whose name it calls us; pinned' }),
  url: Type.String({ description: 'where it takes our calls; pinned' }),
  askedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'when it was last asked how it stands to us',
  }),
  answeredAt: MomentOrNull,
  lastError: Type.Union([Type.String(), Type.Null()], {
    description: 'why the last question had no answer; changes nothing by itself',
  }),
  theySay: Type.Union([Type.String(), Type.Null()], {
    description: 'its consent in its own words: given, pending or withdrawn',
  }),
  noticedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'its last notice that could be verified',
  }),
  notifiedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'when it last took a notice of ours',
  }),
  noticesWaiting: Type.Integer({ description: 'notices that it has not taken yet' }),
  noticeError: TextOrNull,
})
