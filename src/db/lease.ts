import { sql } from 'kysely'
import { addSeconds } from '../clock.ts'
import type { Db } from './schema.ts'
import type { DbClock } from './time.ts'

/** A lease that was claimed; every write of its holder is conditional on the epoch. */
export interface Lease {
  readonly name: string
  readonly owner: string
  readonly epoch: bigint
}

/** Who claims, for how long, and by which clock. */
export interface LeaseClaim {
  readonly owner: string
  readonly seconds: number
  readonly now: DbClock
}

/**
 * Claims a lease that is free, ended, or already ours; undefined while another replica holds it.
 *
 * Each change of holder raises the epoch. Rows, not advisory locks: those exclude nobody on the embedded
 * engine, which has a single session.
 */
export async function claimLease(
  db: Db,
  name: string,
  claim: LeaseClaim,
): Promise<Lease | undefined> {
  const now = await claim.now(db)
  const until = addSeconds(now, claim.seconds)
  const { rows } = await sql<{ epoch: bigint }>`
    insert into lease (name, owner, epoch, lease_until)
    values (${name}, ${claim.owner}, 1, ${until})
    on conflict (name) do update set
      owner = excluded.owner,
      epoch = lease.epoch + case when lease.owner = excluded.owner then 0 else 1 end,
      lease_until = excluded.lease_until
    where lease.owner is null or lease.owner = excluded.owner or lease.lease_until < ${now}
    returning epoch`.execute(db)
  const row = rows[0]
  return row === undefined ? undefined : { name, owner: claim.owner, epoch: row.epoch }
}

/** Gives a lease back so that another replica can take it at once. */
export async function releaseLease(db: Db, lease: Lease): Promise<void> {
  await db
    .updateTable('lease')
    .set({ owner: null, lease_until: null })
    .where('name', '=', lease.name)
    .where('owner', '=', lease.owner)
    .where('epoch', '=', lease.epoch)
    .execute()
}

/**
 * Locks the lease's row and tells whether it is still ours, for use inside a transaction that writes under it.
 */
export async function holdsLease(trx: Db, lease: Lease): Promise<boolean> {
  const row = await trx
    .selectFrom('lease')
    .select('epoch')
    .where('name', '=', lease.name)
    .where('owner', '=', lease.owner)
    .where('epoch', '=', lease.epoch)
    .forUpdate()
    .executeTakeFirst()
  return row !== undefined
}
