import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DistrustedKeyTable } from '../../db/schema-distrust.ts'
import { type KeyDigests } from './effective-bundle.ts'

/** A foreign public key that a mesh trusts nowhere, or did not for a while. */
export interface DistrustedKey {
  readonly id: string
  /** SHA-256 of its SubjectPublicKeyInfo, lower-case hex. */
  readonly digest: string
  readonly note: string | undefined
  readonly since: Date
  readonly by: string
  readonly liftedAt: Date | undefined
  readonly liftedBy: string | undefined
}

const KEY = ['id', 'public_key_sha256', 'note', 'since', 'by', 'lifted_at', 'lifted_by'] as const

/** What is distrusted now, and the count of changes by which a later state is told from an earlier one. */
export interface DistrustInForce {
  readonly revision: bigint
  readonly digests: KeyDigests
}

/**
 * The keys that a mesh trusts of no peer, with the revision of its `distrust` topic, in one statement: those that it
 * distrusts now, and every key that is or was its own. A peer that publishes one of ours as its own would else have
 * whoever holds that key speak for the peer.
 */
export async function loadDistrust(db: Db, meshId: MeshId): Promise<DistrustInForce> {
  const { rows } = await sql<{ revision: bigint | null; digest: string | null; is_own: boolean }>`
    select (select revision from change where mesh_id = ${meshId} and topic = 'distrust') as revision,
      encode(k.sha256, 'hex') as digest, k.is_own
    from (select 1) as one
    left join (
      select public_key_sha256 as sha256, false as is_own from distrusted_key
      where mesh_id = ${meshId} and lifted_at is null
      union all
      select sha256(public_key), true from authority where mesh_id = ${meshId}
    ) k on true`.execute(db)
  const digests = rows.flatMap(({ digest }) => digest ?? [])
  const own = rows.flatMap(({ digest, is_own: isOwn }) => (isOwn ? (digest ?? []) : []))
  return {
    revision: rows[0]?.revision ?? 0n,
    digests: Object.assign(new Set(digests), { own: new Set(own) }),
  }
}

/** Distrusts a key from now on; throws a unique violation when it is distrusted already. */
export async function insertDistrusted(
  trx: Db,
  meshId: MeshId,
  key: Omit<DistrustedKey, 'liftedAt' | 'liftedBy'>,
): Promise<void> {
  await trx
    .insertInto('distrusted_key')
    .values({
      mesh_id: meshId,
      id: key.id,
      public_key_sha256: Buffer.from(key.digest, 'hex'),
      note: key.note ?? null,
      since: key.since,
      by: key.by,
      lifted_at: null,
      lifted_by: null,
    })
    .execute()
}

/** The standing distrust of a key, locked until the transaction ends. */
export async function lockStanding(
  trx: Db,
  meshId: MeshId,
  digest: string,
): Promise<DistrustedKey | undefined> {
  const row = await trx
    .selectFrom('distrusted_key')
    .select(KEY)
    .where('mesh_id', '=', meshId)
    .where('public_key_sha256', '=', Buffer.from(digest, 'hex'))
    .where('lifted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : keyOf(row)
}

/** Ends the distrust of a key; the row stays as history. */
export async function liftDistrusted(
  trx: Db,
  meshId: MeshId,
  lifted: { readonly id: string; readonly at: Date; readonly by: string },
): Promise<void> {
  await trx
    .updateTable('distrusted_key')
    .set({ lifted_at: lifted.at, lifted_by: lifted.by })
    .where('mesh_id', '=', meshId)
    .where('id', '=', lifted.id)
    .execute()
}

/** Distrusted keys, standing and lifted, the newest first, below `before` when given. */
export async function listDistrusted(
  db: Db,
  meshId: MeshId,
  page: {
    readonly before?: { readonly since: Date; readonly id: string } | undefined
    readonly limit: number
    /** Those that were lifted too. */
    readonly withLifted: boolean
  },
): Promise<DistrustedKey[]> {
  let query = db
    .selectFrom('distrusted_key')
    .select(KEY)
    .where('mesh_id', '=', meshId)
    .orderBy('since', 'desc')
    .orderBy('id')
    .limit(page.limit)
  if (!page.withLifted) query = query.where('lifted_at', 'is', null)
  const { before } = page
  if (before !== undefined) {
    query = query.where((eb) =>
      eb.or([
        eb('since', '<', before.since),
        eb.and([eb('since', '=', before.since), eb('id', '>', before.id)]),
      ]),
    )
  }
  return (await query.execute()).map(keyOf)
}

/** One polled domain of a mesh. */
export interface PollKey {
  readonly relationshipId: string
  readonly trustDomain: string
}

/**
 * Makes these polls due now and raises their epochs, so that what their fetches in flight bring is thrown away.
 *
 * Without regard to who holds them: a claim that commits meanwhile is waited for and overtaken.
 */
export async function overtakePolls(
  trx: Db,
  meshId: MeshId,
  { polls, now }: { readonly polls: readonly PollKey[]; readonly now: Date },
): Promise<void> {
  if (polls.length === 0) return
  const keys = JSON.stringify(
    polls.map((poll) => ({
      relationship_id: poll.relationshipId,
      trust_domain: poll.trustDomain,
    })),
  )
  await sql`
    update poll as p set epoch = p.epoch + 1, owner = null, lease_until = null, next_at = ${now}
    from jsonb_to_recordset(${keys}::jsonb) as v(relationship_id uuid, trust_domain text)
    where p.mesh_id = ${meshId} and p.relationship_id = v.relationship_id
      and p.trust_domain = v.trust_domain`.execute(trx)
}

function keyOf(row: Pick<Selectable<DistrustedKeyTable>, (typeof KEY)[number]>): DistrustedKey {
  return {
    id: row.id,
    digest: Buffer.from(row.public_key_sha256).toString('hex'),
    note: row.note ?? undefined,
    since: row.since,
    by: row.by,
    liftedAt: row.lifted_at ?? undefined,
    liftedBy: row.lifted_by ?? undefined,
  }
}
