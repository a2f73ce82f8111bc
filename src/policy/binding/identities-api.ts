import { type Static, type TSchema, Type } from 'typebox'
import { pageSchema } from '../../http/page.ts'

const Patterns = (description: string) =>
  Type.Array(
    Type.Object({
      path: Type.String({ description: 'of SPIFFE IDs; * = all, at the end any rest' }),
      clusters: Type.Union([Type.Array(Type.String()), Type.Null()], {
        description: 'only of workloads in these clusters of ours; null = in all',
      }),
    }),
    { description },
  )

/** Which of our identities a peer may meet. */
export const ShownIdentitiesBody = Type.Object({
  shown: Patterns('identities of ours that may call services of the peer'),
  refused: Patterns('of these, those that rules keep back'),
})

/** Which of a peer's identities count for nothing here. */
export const RefusedIdentitiesBody = Type.Object({
  refused: Patterns('identities of the peer that count for nothing here'),
})

/** The answer schema of a list of services that also tells of identities, the same on each page. */
export function identifiedPageSchema<T extends TSchema, I extends TSchema>(item: T, identities: I) {
  return Type.Object({ ...pageSchema(item).properties, identities })
}

/** Which of our identities a peer may meet, on the wire. */
export type ShownIdentitiesView = Static<typeof ShownIdentitiesBody>
/** Which of a peer's identities count for nothing here, on the wire. */
export type RefusedIdentitiesView = Static<typeof RefusedIdentitiesBody>
