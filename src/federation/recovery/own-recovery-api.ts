import { type Static, Type } from 'typebox'
import { RecoveryPathBody } from '../api.ts'

/** Body of `PUT …/trust-domains/{td}/recovery`; an empty list takes all away. */
export const OwnRecoveryBody = Type.Object(
  { recovery: Type.Array(RecoveryPathBody, { maxItems: 8 }) },
  { additionalProperties: false },
)

/** How peers may renew the bundle of a trust domain of ours, in this order. */
export const OwnRecoveryView = Type.Object({
  trustDomain: Type.String(),
  recovery: Type.Array(RecoveryPathBody),
})

/** The answer about our own recovery paths. */
export type OwnRecoveryAnswer = Static<typeof OwnRecoveryView>
