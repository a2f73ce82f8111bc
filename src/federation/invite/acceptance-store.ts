import { type MeshId } from '../../db/ids.ts'
import { type Db, type InviteReader } from '../../db/schema.ts'

/** An invite of somebody else that this mesh accepts. */
export interface Acceptance {
  readonly secretHash: Uint8Array
  readonly relationshipId: string
  /** The message as it was sent, so that the very same can be sent again. */
  readonly handshake: string
  /** Of the bundle URLs in it. */
  readonly readers: readonly InviteReader[]
  readonly expiresAt: Date
}

/** The acceptance of an invite, if this mesh began one. */
export async function findAcceptance(
  db: Db,
  meshId: MeshId,
  secretHash: Uint8Array,
): Promise<Acceptance | undefined> {
  const row = await db
    .selectFrom('invite_acceptance')
    .select(['relationship_id', 'handshake', 'readers', 'expires_at'])
    .where('mesh_id', '=', meshId)
    .where('secret_hash', '=', secretHash)
    .executeTakeFirst()
  if (row === undefined) return undefined
  return {
    secretHash,
    relationshipId: row.relationship_id,
    handshake: row.handshake,
    readers: row.readers,
    expiresAt: row.expires_at,
  }
}

/** Stores an acceptance, or the new message of one. */
export async function saveAcceptance(
  trx: Db,
  meshId: MeshId,
  acceptance: Acceptance,
): Promise<void> {
  const { handshake } = acceptance
  await trx
    .insertInto('invite_acceptance')
    .values({
      mesh_id: meshId,
      secret_hash: acceptance.secretHash,
      relationship_id: acceptance.relationshipId,
      handshake,
      readers: JSON.stringify(acceptance.readers),
      expires_at: acceptance.expiresAt,
    })
    .onConflict((conflict) =>
      conflict.columns(['mesh_id', 'secret_hash']).doUpdateSet({ handshake }),
    )
    .execute()
}

/** Deletes acceptances of invites that have ended; answers how many. */
export async function deleteEndedAcceptances(db: Db, now: Date): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('invite_acceptance')
    .where('expires_at', '<', now)
    .executeTakeFirst()
  return Number(numDeletedRows)
}
