import { type ChangeContext } from '../audit/record.ts'
import { type Db } from '../db/schema.ts'
import { type Relationship } from './relationship.ts'

/** Gives a new relationship what higher features begin it with, in the transaction that makes it. */
export type RelationshipFounder = (
  trx: Db,
  relationship: Relationship,
  context: ChangeContext,
) => Promise<void>
