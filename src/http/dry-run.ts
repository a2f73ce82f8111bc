import { Type } from 'typebox'

/** Query of every mutation: with `dryRun=true` the answer is the effect and nothing changes. */
export const DryRunQuery = Type.Object(
  {
    dryRun: Type.Optional(
      Type.Boolean({ description: 'answer with the effect and change nothing' }),
    ),
  },
  { additionalProperties: false },
)
