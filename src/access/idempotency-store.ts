import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'

/** What a key belongs to; the same key elsewhere is another one. */
export interface KeyScope {
  /** Id of the token. */
  readonly principal: string
  readonly method: string
  /** The route's pattern. */
  readonly route: string
  readonly key: string
}

/** One request's hold on a key. */
export interface Claim {
  readonly scope: KeyScope
  /** SHA-256 over method, URL, the rights that it was made with, and body. */
  readonly fingerprint: Uint8Array
  /** Names the request; whatever it writes later counts only while it holds the key. */
  readonly id: string
}

/** A finished answer. */
export interface KeptAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Undefined when it showed a secret. */
  readonly body: string | undefined
  /** Where the object is whose secret it showed. */
  readonly secretOf: string | undefined
}

/** A key that another request holds, or held. */
export interface KnownKey {
  readonly fingerprint: Uint8Array
  /** Undefined while that request is being handled. */
  readonly answer: KeptAnswer | undefined
}

/** From when on a key counts as new: held since before a crash, or kept for long enough. */
export interface ClaimLimits {
  readonly now: Date
  readonly crashedBefore: Date
  readonly keptSince: Date
}

/**
 * Takes a key for a request; true for one caller only, also among replicas.
 *
 * A key is free when it is unknown, older than `keptSince`, or held by the same request since before `crashedBefore`.
 */
export async function claimKey(
  db: Db,
  { scope, fingerprint, id }: Claim,
  { now, crashedBefore, keptSince }: ClaimLimits,
): Promise<boolean> {
  const fresh = {
    fingerprint,
    claim: id,
    claimed_at: now,
    status: null,
    headers: null,
    body: null,
    secret_of: null,
  }
  const result = await db
    .insertInto('idempotency_key')
    .values({ ...scope, ...fresh })
    .onConflict((conflict) =>
      conflict
        .columns(['principal', 'method', 'route', 'key'])
        .doUpdateSet(fresh)
        .where((where) =>
          where.or([
            where('idempotency_key.claimed_at', '<', keptSince),
            where.and([
              where('idempotency_key.status', 'is', null),
              where('idempotency_key.claimed_at', '<', crashedBefore),
              where('idempotency_key.fingerprint', '=', fingerprint),
            ]),
          ]),
        ),
    )
    .executeTakeFirst()
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n
}

/** What is known of a key. */
export async function findKey(db: Db, scope: KeyScope): Promise<KnownKey | undefined> {
  const row = await db
    .selectFrom('idempotency_key')
    .select(['fingerprint', 'status', 'headers', 'body', 'secret_of'])
    .where('principal', '=', scope.principal)
    .where('method', '=', scope.method)
    .where('route', '=', scope.route)
    .where('key', '=', scope.key)
    .executeTakeFirst()
  if (row === undefined) return undefined
  if (row.status === null) return { fingerprint: row.fingerprint, answer: undefined }
  const answer = {
    status: row.status,
    headers: row.headers ?? {},
    body: row.body ?? undefined,
    secretOf: row.secret_of ?? undefined,
  }
  return { fingerprint: row.fingerprint, answer }
}

/** Keeps the answer of a request that still holds its key. */
export async function keepAnswer(db: Db, claim: Claim, answer: KeptAnswer): Promise<void> {
  await db
    .updateTable('idempotency_key')
    .set({
      status: answer.status,
      headers: JSON.stringify(answer.headers),
      body: answer.body ?? null,
      secret_of: answer.secretOf ?? null,
    })
    .where('claim', '=', claim.id)
    .where('principal', '=', claim.scope.principal)
    .where('method', '=', claim.scope.method)
    .where('route', '=', claim.scope.route)
    .where('key', '=', claim.scope.key)
    .execute()
}

/** Gives a key back, so that the request can be made again. */
export async function releaseKey(db: Db, { scope, id }: Claim): Promise<void> {
  await db
    .deleteFrom('idempotency_key')
    .where('claim', '=', id)
    .where('principal', '=', scope.principal)
    .where('method', '=', scope.method)
    .where('route', '=', scope.route)
    .where('key', '=', scope.key)
    .execute()
}

/** Forgets keys claimed before a moment; answers how many. */
export async function deleteOldKeys(db: Db, before: Date): Promise<number> {
  const { rows } = await sql<{ count: bigint }>`
    with gone as (delete from idempotency_key where claimed_at < ${before} returning 1)
    select count(*) as count from gone`.execute(db)
  return Number(rows[0]?.count ?? 0n)
}
