import { type Static, Type } from 'typebox'

/** How much a finding matters: an `error` defeats its own purpose, a `warning` is probably none, a `notice` may be. */
export const SEVERITIES = ['error', 'warning', 'notice'] as const
/** One of {@link SEVERITIES}. */
export type Severity = (typeof SEVERITIES)[number]

/** One finding of the linter. */
export const LintFindingBody = Type.Object({
  code: Type.String({ description: 'what sort of finding; stable' }),
  severity: Type.Union([Type.Literal('error'), Type.Literal('warning'), Type.Literal('notice')]),
  object: Type.String({
    description: 'what it is about: rule/<id>, offer/<relationship>/<service>',
  }),
  message: Type.String(),
  next: Type.Array(Type.String({ description: 'a command or an act that helps' })),
})

/** A finding on the wire. */
export type LintFindingView = Static<typeof LintFindingBody>
