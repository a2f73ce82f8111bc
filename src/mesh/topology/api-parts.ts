import { Type } from 'typebox'
import { MAX_LOCALITY } from './locality.ts'

/** The name of a cluster, network, gateway or control plane. */
export const Name = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'a DNS label, unique in the mesh and never changed',
})
/** The name of what is there already, as a body or path refers to it. */
export const Reference = Type.String({ minLength: 1, maxLength: 63 })
const Part = Type.String({ minLength: 1, maxLength: MAX_LOCALITY })
/** Where something is. */
export const Locality = Type.Object(
  { region: Type.Optional(Part), zone: Type.Optional(Part), subzone: Type.Optional(Part) },
  { additionalProperties: false, description: 'a zone lies in a region, a subzone in a zone' },
)
/** Where a control plane is; finer than a zone nobody places one. */
export const PlaneLocality = Type.Object(
  { region: Type.Optional(Part), zone: Type.Optional(Part) },
  { additionalProperties: false, description: 'default that of the cluster that it runs in' },
)
/** Whether something is in use. */
export const State = Type.Enum(['active', 'draining', 'disabled'])
/** A moment. */
export const Moment = Type.String({ format: 'date-time' })
/** What every object of a topology has. */
export const Version = { version: Type.String(), createdAt: Moment }
/** Commands that are useful next. */
export const Next = { next: Type.Array(Type.String({ description: 'a useful command' })) }

/** What ended, or would end, with an object. */
export const Ended = Type.Array(
  Type.Object({
    kind: Type.String(),
    name: Type.String(),
    effect: Type.String(),
    blocks: Type.Boolean({ description: 'needs force=true' }),
  }),
)
