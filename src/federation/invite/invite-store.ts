import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db, type InviteReader, type InviteTable } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type SeenBundle } from './handshake.ts'

/** How an invite was used. */
export interface InviteUse {
  readonly at: Date
  readonly by: TrustDomain
  readonly requestDigest: Uint8Array
  /** The acceptor's bundles as they were fetched, for the answer. */
  readonly seen: readonly SeenBundle[]
}

/** A handshake that showed the secret and was refused, for our operator. */
export interface InviteRefusal {
  readonly at: Date
  readonly reason: string
  readonly next: string | undefined
}

/** An invite of ours as it is stored; its secret is not. */
export interface StoredInvite {
  readonly meshId: MeshId
  readonly id: string
  readonly secretHash: Uint8Array
  readonly name: string | undefined
  readonly expectedTrustDomain: TrustDomain | undefined
  readonly expectedFingerprint: string | undefined
  readonly offered: Record<string, unknown>
  readonly readers: readonly InviteReader[]
  readonly createdAt: Date
  readonly createdBy: string
  readonly expiresAt: Date
  readonly cancelledAt: Date | undefined
  readonly use: InviteUse | undefined
  readonly relationshipId: string | undefined
  readonly refusal: InviteRefusal | undefined
}

const INVITE = [
  'mesh_id',
  'id',
  'secret_hash',
  'name',
  'expected_trust_domain',
  'expected_fingerprint',
  'offered',
  'readers',
  'created_at',
  'created_by',
  'expires_at',
  'cancelled_at',
  'used_at',
  'used_by',
  'request_digest',
  'answer',
  'relationship_id',
  'refused_at',
  'refusal',
  'refusal_next',
] as const

/** Stores a new invite. */
export async function insertInvite(
  trx: Db,
  invite: Omit<StoredInvite, 'cancelledAt' | 'use' | 'relationshipId' | 'refusal'>,
): Promise<void> {
  await trx
    .insertInto('invite')
    .values({
      mesh_id: invite.meshId,
      id: invite.id,
      secret_hash: invite.secretHash,
      name: invite.name ?? null,
      expected_trust_domain: invite.expectedTrustDomain ?? null,
      expected_fingerprint: invite.expectedFingerprint ?? null,
      offered: JSON.stringify(invite.offered),
      readers: JSON.stringify(invite.readers),
      created_at: invite.createdAt,
      created_by: invite.createdBy,
      expires_at: invite.expiresAt,
      cancelled_at: null,
      used_at: null,
      used_by: null,
      request_digest: null,
      answer: null,
      relationship_id: null,
      refused_at: null,
      refusal: null,
      refusal_next: null,
    })
    .execute()
}

/** The invite with this hash, of whichever mesh; a handshake knows no more. */
export async function findInviteByHash(
  db: Db,
  hash: Uint8Array,
): Promise<StoredInvite | undefined> {
  const row = await db
    .selectFrom('invite')
    .select(INVITE)
    .where('secret_hash', '=', hash)
    .executeTakeFirst()
  return row === undefined ? undefined : inviteOf(row)
}

/** The invite of this id, locked until the transaction ends. */
export async function lockInvite(
  trx: Db,
  meshId: MeshId,
  id: string,
): Promise<StoredInvite | undefined> {
  const row = await trx
    .selectFrom('invite')
    .select(INVITE)
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : inviteOf(row)
}

/** Invites by id, after `after` when given; those that are over are kept for 30 days. */
export async function listInvites(
  db: Db,
  meshId: MeshId,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<StoredInvite[]> {
  let query = db
    .selectFrom('invite')
    .select(INVITE)
    .where('mesh_id', '=', meshId)
    .orderBy('id')
    .limit(page.limit)
  if (page.after !== undefined) query = query.where('id', '>', page.after)
  return (await query.execute()).map(inviteOf)
}

/** The invites of a mesh that could still be used, locked. */
export async function lockOpenInvites(trx: Db, meshId: MeshId, now: Date): Promise<StoredInvite[]> {
  const rows = await trx
    .selectFrom('invite')
    .select(INVITE)
    .where('mesh_id', '=', meshId)
    .where('used_at', 'is', null)
    .where('cancelled_at', 'is', null)
    .where('expires_at', '>', now)
    .orderBy('id')
    .forUpdate()
    .execute()
  return rows.map(inviteOf)
}

/** Ends an invite unused; its readers are no longer its own. */
export async function setCancelled(
  trx: Db,
  meshId: MeshId,
  { id, at }: { readonly id: string; readonly at: Date },
): Promise<void> {
  await trx
    .updateTable('invite')
    .set({ cancelled_at: at, readers: '[]' })
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .execute()
}

/** Uses an invite up; false when it was used or cancelled meanwhile, or has ended. Of several at once one wins. */
export async function markUsed(
  trx: Db,
  meshId: MeshId,
  { id, use }: { readonly id: string; readonly use: InviteUse },
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('invite')
    .set({
      used_at: use.at,
      used_by: use.by,
      request_digest: use.requestDigest,
      answer: JSON.stringify({ seen: use.seen }),
      refused_at: null,
      refusal: null,
      refusal_next: null,
    })
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .where('used_at', 'is', null)
    .where('cancelled_at', 'is', null)
    .where('expires_at', '>', use.at)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Notes the last refusal of an invite that is still open. */
export async function setRefusal(
  db: Db,
  meshId: MeshId,
  { id, refusal }: { readonly id: string; readonly refusal: InviteRefusal },
): Promise<void> {
  await db
    .updateTable('invite')
    .set({
      refused_at: refusal.at,
      refusal: refusal.reason,
      refusal_next: refusal.next ?? null,
    })
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .where('used_at', 'is', null)
    .execute()
}

/** Invites of every mesh that ended unused and still have readers; at most `limit`, locked. */
export async function lockEndedWithReaders(
  trx: Db,
  { now, limit }: { readonly now: Date; readonly limit: number },
): Promise<StoredInvite[]> {
  const rows = await trx
    .selectFrom('invite')
    .select(INVITE)
    .where('used_at', 'is', null)
    .where('cancelled_at', 'is', null)
    .where('expires_at', '<=', now)
    .where(sql<boolean>`readers <> '[]'::jsonb`)
    .orderBy('expires_at')
    .limit(limit)
    .forUpdate()
    .skipLocked()
    .execute()
  return rows.map(inviteOf)
}

/** Notes which relationship an invite led to, or that its readers are gone. */
export async function updateInvite(
  trx: Db,
  { meshId, id }: Pick<StoredInvite, 'meshId' | 'id'>,
  change: { readonly relationship_id: string } | { readonly readers: '[]' },
): Promise<void> {
  await trx
    .updateTable('invite')
    .set(change)
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .execute()
}

/** Deletes invites that were over before a moment; answers how many. */
export async function deleteOldInvites(db: Db, before: Date): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('invite')
    .where((eb) =>
      eb.or([
        eb('used_at', '<', before),
        eb('cancelled_at', '<', before),
        eb.and([eb('used_at', 'is', null), eb('expires_at', '<', before)]),
      ]),
    )
    .executeTakeFirst()
  return Number(numDeletedRows)
}

function inviteOf(row: Selectable<InviteTable>): StoredInvite {
  return {
    meshId: row.mesh_id,
    id: row.id,
    secretHash: row.secret_hash,
    name: row.name ?? undefined,
    expectedTrustDomain: row.expected_trust_domain ?? undefined,
    expectedFingerprint: row.expected_fingerprint ?? undefined,
    offered: row.offered,
    readers: row.readers,
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    cancelledAt: row.cancelled_at ?? undefined,
    use: useOf(row),
    relationshipId: row.relationship_id ?? undefined,
    refusal: refusalOf(row),
  }
}

function useOf(row: Selectable<InviteTable>): InviteUse | undefined {
  const { used_at: at, used_by: by, request_digest: requestDigest, answer } = row
  if (at === null || by === null || requestDigest === null || answer === null) return undefined
  return { at, by, requestDigest, seen: answer['seen'] as readonly SeenBundle[] }
}

function refusalOf(row: Selectable<InviteTable>): InviteRefusal | undefined {
  const { refused_at: at, refusal: reason, refusal_next: next } = row
  return at === null || reason === null ? undefined : { at, reason, next: next ?? undefined }
}
