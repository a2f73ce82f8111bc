import { type Static, Type } from 'typebox'

const Sequence = Type.String({ pattern: '^[0-9]{1,20}$', description: 'a decimal string' })
const Moment = Type.String({ format: 'date-time' })
const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()])

/** One published state of a bundle, without its document. */
export const RevisionBody = Type.Object({
  trustDomain: Type.String(),
  sequence: Sequence,
  sha256: Type.String({ description: 'of the document, in hex' }),
  hintSeconds: Type.Integer(),
  cause: Type.String(),
  createdAt: Moment,
})

/** One published state of a bundle with the exact text that is served. */
export const RevisionDocumentBody = Type.Object({
  ...RevisionBody.properties,
  document: Type.String({ description: 'the SPIFFE bundle, byte for byte as it is served' }),
})

/** The current bundle of a trust domain, and where peers fetch it. */
export const BundleBody = Type.Object({
  ...RevisionDocumentBody.properties,
  url: Type.String(),
  profile: Type.Union([Type.Literal('https_web'), Type.Literal('https_spiffe')]),
  endpointSpiffeId: OrNull(Type.String()),
})

/** Query of everything about a bundle; a mesh's primary trust domain by default. */
export const TrustDomainQuery = Type.Object(
  { trustDomain: Type.Optional(Type.String({ maxLength: 255 })) },
  { additionalProperties: false },
)

/** Body of `POST …/bundle/readers`. */
export const CreateReaderBody = Type.Object(
  {
    label: Type.String({
      maxLength: 63,
      description: 'a DNS label, unique among the readers of this bundle',
    }),
    trustDomain: Type.Optional(Type.String({ maxLength: 255 })),
  },
  { additionalProperties: false },
)

/** Somebody who fetches our bundle by a URL of its own. */
export const ReaderBody = Type.Object({
  label: Type.String(),
  trustDomain: Type.String(),
  kind: Type.Union([Type.Literal('relationship'), Type.Literal('manual')]),
  url: Type.String(),
  activity: Type.Union([
    Type.Literal('never'),
    Type.Literal('once'),
    Type.Literal('polling'),
    Type.Literal('vanished'),
  ]),
  fetches: Type.String({ description: 'a decimal string' }),
  firstAt: OrNull(Moment),
  lastAt: OrNull(Moment),
  sequence: OrNull(Sequence),
  sources: Type.Array(Type.Object({ address: Type.String(), lastAt: Moment }), {
    description: 'the last 16 addresses that it fetched from, the newest first',
  }),
  createdAt: Moment,
})

/** A reader that was just made, and what to do with it. */
export const CreatedReaderBody = Type.Object({
  ...ReaderBody.properties,
  next: Type.Array(Type.String()),
})

/** The current bundle on the wire. */
export type BundleView = Static<typeof BundleBody>
/** A revision on the wire. */
export type RevisionView = Static<typeof RevisionBody>
/** A reader on the wire. */
export type ReaderView = Static<typeof ReaderBody>
/** A reader that was just made, on the wire. */
export type CreatedReaderView = Static<typeof CreatedReaderBody>
