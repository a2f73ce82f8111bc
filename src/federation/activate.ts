import { type ChangeContext } from '../audit/record.ts'
import { type Db } from '../db/schema.ts'
import { changeStanding } from './change-standing.ts'
import { type Relationship } from './relationship.ts'
import { decideStanding } from './standing.ts'
import { hasVerifiedBundles } from './waiting.ts'

/** Makes a pending relationship active once it waits for nothing; answers whether it did. */
export async function activateIfReady(
  trx: Db,
  relationship: Relationship,
  context: ChangeContext,
): Promise<boolean> {
  if (relationship.state !== 'pending') return false
  const hasBundles = await hasVerifiedBundles(trx, relationship)
  if (decideStanding(relationship, hasBundles) !== 'active') return false
  await changeStanding(trx, relationship, { event: 'bundle-arrives', context })
  return true
}
