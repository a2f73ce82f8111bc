import { type Static, Type } from 'typebox'

const Moment = Type.String({ format: 'date-time' })
const MomentOrNull = Type.Union([Moment, Type.Null()])
const TextOrNull = Type.Union([Type.String(), Type.Null()])

/** Body of `POST …/move`. */
export const MoveBody = Type.Object(
  {
    url: Type.String({
      maxLength: 2048,
      description: 'the new base of our URLs, such as https://spiffe.example.com:8443',
    }),
  },
  { additionalProperties: false },
)

/** A host that the mesh has left and is still answered under. */
export const FormerHostBody = Type.Object({
  host: Type.String(),
  url: Type.String({ description: 'base of the URLs under it' }),
  since: Moment,
  lastFetchAt: MomentOrNull,
  endsAt: Type.String({
    format: 'date-time',
    description: 'when it is answered under no more, unless somebody fetches by it before',
  }),
  readers: Type.Array(
    Type.Object({
      label: Type.String(),
      relationship: TextOrNull,
      lastAt: MomentOrNull,
    }),
    { description: 'who came by it last; readers of the plain URL show in lastFetchAt alone' },
  ),
})

/** One peer, as a move concerns it. */
export const MovedPeerBody = Type.Object({
  relationship: Type.String(),
  state: Type.String(),
  speaksEntente: Type.Boolean({ description: 'told by itself; others must be told by people' }),
  hasOurParameters: Type.Union([Type.Boolean(), Type.Null()], {
    description: 'whether it has our present URLs in force; null when it does not say',
  }),
  askedAt: MomentOrNull,
  lastError: TextOrNull,
  lastHost: Type.Union([Type.String(), Type.Null()], { description: 'by which host it came last' }),
  tell: Type.Array(Type.String({ description: 'what its administrator must know' })),
})

/** Where a mesh is reached, where it was, and who has not followed. */
export const MoveStatusBody = Type.Object({
  url: Type.String({ description: 'of the bundle of the primary trust domain' }),
  formerHosts: Type.Array(FormerHostBody),
  peers: Type.Array(MovedPeerBody),
  next: Type.Array(Type.String({ description: 'a useful command' })),
})

/** Where a mesh is reached, on the wire. */
export type MoveStatusView = Static<typeof MoveStatusBody>
/** One peer of a mesh that moves, on the wire. */
export type MovedPeerView = Static<typeof MovedPeerBody>
