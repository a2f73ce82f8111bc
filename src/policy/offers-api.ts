import { type Static, Type } from 'typebox'
import { OfferBody } from '../catalog/api.ts'

/** A peer's offer, and what this mesh makes of it. */
export const ImportedOfferBody = Type.Object({
  ...OfferBody.properties,
  imported: Type.Boolean({ description: 'whether anybody of this mesh may see it' }),
  hostname: Type.String({ description: 'its name here' }),
  reason: Type.String({ description: 'the step that decided' }),
  next: Type.Array(Type.String({ description: 'what would import it' })),
})

/** An offer with what this mesh makes of it, on the wire. */
export type ImportedOfferView = Static<typeof ImportedOfferBody>
