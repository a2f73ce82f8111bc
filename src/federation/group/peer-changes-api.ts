import { type Static, Type } from 'typebox'

/** What a change can do to a service, or to identities, and one peer. */
const CHANGE_KINDS = ['visible', 'hidden', 'renamed', 'allowed', 'denied'] as const
/** One of {@link CHANGE_KINDS}. */
export type ChangeKind = (typeof CHANGE_KINDS)[number]

const Item = Type.Object({
  kind: Type.Enum([...CHANGE_KINDS]),
  subject: Type.String({ description: 'namespace/name, or "identity" and a pattern' }),
  name: Type.Optional(Type.String({ description: 'its name there' })),
  was: Type.Optional(Type.String({ description: 'its name before' })),
  who: Type.Array(Type.String(), {
    description:
      'of calls that become allowed or denied, all that hold at once: paths of callers ("*", or "* but" some), "port NAME", "cluster NAME", "namespace NAME"',
  }),
})

/** What a change does, per peer. */
export const PeerChangesBody = Type.Object({
  peers: Type.Array(
    Type.Object({
      peer: Type.String({ description: 'a relationship, or "self"' }),
      direction: Type.Enum(['export', 'import'], {
        description: 'export: ours, to the peer; import: the peer’s, to us',
      }),
      counts: Type.Object(
        {
          visible: Type.Integer(),
          hidden: Type.Integer(),
          renamed: Type.Integer(),
          allowed: Type.Integer(),
          denied: Type.Integer(),
        },
        { description: 'of all items, also of those not named' },
      ),
      items: Type.Array(Item, { description: 'the first 20, by name' }),
    }),
  ),
  complete: Type.Boolean({
    description:
      'false when there are more than a million pairs of a service and a peer, and only the first services of each peer were compared',
  }),
})

/** What a change does, on the wire. */
export type PeerChangesView = Static<typeof PeerChangesBody>
