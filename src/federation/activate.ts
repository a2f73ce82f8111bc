import { type ChangeContext } from '../audit/record.ts'
import { type Db } from '../db/schema.ts'
import { changeStanding } from './change-standing.ts'
import { pinFirstBundles } from './poll/first-bundle-store.ts'
import { type Relationship } from './relationship.ts'
import { decideStanding } from './standing.ts'
import { hasVerifiedBundles } from './poll/waiting.ts'

/**
 * Makes a pending relationship active once it waits for nothing; answers whether it did. Called whenever a bundle
 * was stored: of an active one it pins the first that counted.
 */
export async function activateIfReady(
  trx: Db,
  relationship: Relationship,
  context: ChangeContext,
): Promise<boolean> {
  if (relationship.state === 'active') await pinMissing(trx, relationship)
  if (relationship.state !== 'pending') return false
  const hasBundles = await hasVerifiedBundles(trx, relationship)
  if (decideStanding(relationship, hasBundles) !== 'active') return false
  await changeStanding(trx, relationship, { event: 'bundle-arrives', context })
  return true
}

async function pinMissing(trx: Db, { meshId, id, domains }: Relationship): Promise<void> {
  if (domains.every(({ firstDigest }) => firstDigest !== undefined)) return
  await pinFirstBundles(trx, meshId, id)
}
