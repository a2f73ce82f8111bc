import { type Static, Type } from 'typebox'

/** Query of `GET …/relationships/{name}/instructions`. */
export const InstructionQuery = Type.Object(
  {
    side: Type.Union([Type.Literal('theirs'), Type.Literal('ours')], {
      default: 'theirs',
      description:
        'theirs: what the peer configures to trust us; ours: what our own control planes configure to read the relay',
    }),
    for: Type.Union([
      Type.Literal('spire'),
      Type.Literal('spire-controller-manager'),
      Type.Literal('istio'),
      Type.Literal('openshift'),
      Type.Literal('curl'),
    ]),
  },
  { additionalProperties: false },
)

/** Ready-to-paste configuration; no secret is in it. */
export const InstructionsBody = Type.Object({
  side: InstructionQuery.properties.side,
  for: InstructionQuery.properties.for,
  text: Type.String({ description: 'all parts, each under its title as a comment' }),
  parts: Type.Array(
    Type.Object({
      title: Type.String(),
      language: Type.Union([
        Type.Literal('hcl'),
        Type.Literal('yaml'),
        Type.Literal('shell'),
        Type.Literal('text'),
      ]),
      text: Type.String(),
    }),
  ),
})

/** Instructions on the wire. */
export type InstructionsView = Static<typeof InstructionsBody>
