import { type Static, Type } from 'typebox'
import { PageQuery } from '../http/page.ts'
import { HEAD_PATTERN } from './chain.ts'

/** A place in the log: `<n>:<hash in hex>`. */
export const HeadText = Type.String({
  pattern: HEAD_PATTERN,
  description: 'A place in the log, <n>:<hash in hex>, as it was logged, shown or written down',
})

const RecordNumber = Type.String({ pattern: '^[0-9]{1,19}$' })

/** One record of the audit log. */
export const AuditRecordBody = Type.Object({
  n: Type.Union([Type.String(), Type.Null()], {
    description:
      'Its number in the log of the service: the only order of the log; null for readers of some meshes, whom its gaps would tell of others',
  }),
  at: Type.String({ format: 'date-time' }),
  meshId: Type.Union([Type.String(), Type.Null()]),
  actor: Type.String(),
  action: Type.String(),
  object: Type.String(),
  body: Type.Unknown({ description: 'The particulars of the change' }),
  hash: Type.Union([Type.String(), Type.Null()], {
    description: 'SHA-256 of the previous hash and this record as stored, hex',
  }),
  bytes: Type.Optional(
    Type.String({ description: 'With bytes=true: the record exactly as it is stored and hashed' }),
  ),
})

/** One record as the API shows it. */
export type AuditRecordView = Static<typeof AuditRecordBody>

/** Which records are wanted. */
export const AuditQuery = Type.Object(
  {
    ...PageQuery.properties,
    order: Type.Enum(['newest', 'oldest'], { default: 'newest' }),
    mesh: Type.Optional(Type.String({ maxLength: 63 })),
    object: Type.Optional(Type.String({ maxLength: 500 })),
    actor: Type.Optional(Type.String({ maxLength: 200 })),
    action: Type.Optional(Type.String({ maxLength: 100 })),
    bytes: Type.Optional(
      Type.Boolean({ description: 'Also show each record exactly as it is stored' }),
    ),
  },
  { additionalProperties: false },
)

/** Query of a check of the log. */
export const VerifyQuery = Type.Object(
  { head: Type.Optional(HeadText) },
  { additionalProperties: false },
)

/** What a check of the log found. */
export const VerdictBody = Type.Object({
  ok: Type.Boolean(),
  verified: RecordNumber,
  head: Type.Union([HeadText, Type.Null()], {
    description: 'The last record proven; keep it where nobody who can write to the database can',
  }),
  unsealed: Type.String({ description: 'Records committed and not yet numbered' }),
  publicKey: Type.String({ description: 'Ed25519 key that signs the log, PEM' }),
  broken: Type.Union([
    Type.Null(),
    Type.Object({ n: RecordNumber, flaw: Type.String(), detail: Type.String() }),
  ]),
})

/** What a check of the log found, as the API shows it. */
export type VerdictView = Static<typeof VerdictBody>
