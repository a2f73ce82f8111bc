import { Type } from 'typebox'
import { MAX_LABEL_VALUE } from './owner-data.ts'

const Note = Type.String({ maxLength: 2000 })
const Contact = Type.String({
  minLength: 1,
  maxLength: 300,
  description: 'whom to call about this peer',
})
const LabelValue = Type.String({ maxLength: MAX_LABEL_VALUE })
const Moment = Type.String({ format: 'date-time' })
const Expiry = Type.String({
  format: 'date-time',
  description: 'the relationship is terminated then',
})
const Review = Type.String({
  format: 'date-time',
  description: 'when somebody should look at it again',
})
// Anything: its syntax is judged with a sentence that says what is wanted.
const LabelKey = Type.String()
const Labels = Type.Record(LabelKey, LabelValue, { maxProperties: 32 })
const LabelChange = Type.Record(LabelKey, Type.Union([LabelValue, Type.Null()]), {
  maxProperties: 64,
  description: 'merged with those that are there; null takes one away',
})

/** Owner data in the body that makes a relationship. */
export const NewOwnerMembers = {
  contact: Type.Optional(Contact),
  note: Type.Optional(Note),
  labels: Type.Optional(Labels),
  reviewAt: Type.Optional(Review),
  expiresAt: Type.Optional(Expiry),
}

/** Owner data in the body that changes one; null takes a value away. */
export const ChangedOwnerMembers = {
  contact: Type.Optional(Type.Union([Contact, Type.Null()])),
  note: Type.Optional(Type.Union([Note, Type.Null()])),
  labels: Type.Optional(Type.Union([LabelChange, Type.Null()])),
  reviewAt: Type.Optional(Type.Union([Review, Type.Null()])),
  expiresAt: Type.Optional(Type.Union([Expiry, Type.Null()])),
}

/** Owner data of a relationship. */
export const OwnerMembers = {
  contact: Type.Union([Type.String(), Type.Null()]),
  note: Type.Union([Type.String(), Type.Null()]),
  labels: Type.Record(LabelKey, Type.String()),
  reviewAt: Type.Union([Moment, Type.Null()]),
  expiresAt: Type.Union([Moment, Type.Null()]),
}
