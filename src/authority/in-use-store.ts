import { sql } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { StoredAuthority } from './authority.ts'

/**
 * Until when workloads use a bundle older than `sequence`: the latest refresh still ahead of a living SVID that
 * came with an older one. Undefined when there is none.
 */
export async function holdersBehindUntil(
  db: Db,
  meshId: MeshId,
  bundle: { readonly trustDomain: TrustDomain; readonly sequence: bigint; readonly now: Date },
): Promise<Date | undefined> {
  const row = await db
    .selectFrom('svid_issued')
    .select(({ fn }) => fn.max('refresh_at').as('until'))
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', bundle.trustDomain)
    .where('refresh_at', '>', bundle.now)
    .where('not_after', '>', bundle.now)
    .where('bundle_sequence', '<', bundle.sequence)
    .executeTakeFirst()
  return dateOf(row?.until)
}

/**
 * Until when an authority is in use: the end of the last SVID signed under it (by any of its intermediates, for
 * a root), and for an active root also of the last unused join token, which names the root it was made under.
 * Tokens made after it retired end before its removal. Undefined when nothing uses it.
 */
export async function inUseUntil(
  db: Db,
  authority: Pick<StoredAuthority, 'meshId' | 'id' | 'kind' | 'trustDomain' | 'state'>,
  now: Date,
): Promise<Date | undefined> {
  const { meshId, id } = authority
  const { rows } = await sql<{ until: Date | null }>`
    select max(not_after) as until from svid_issued
    where mesh_id = ${meshId} and not_after > ${now} and authority_id in (
      select ${id}::uuid
      union all
      select id from authority where mesh_id = ${meshId} and parent_id = ${id}::uuid
    )`.execute(db)
  const svids = dateOf(rows[0]?.until)
  if (authority.kind !== 'x509_root' || authority.state !== 'active') return svids
  const token = await lastTokenEnd(db, authority, now)
  return later(svids, token)
}

async function lastTokenEnd(
  db: Db,
  { meshId, trustDomain }: Pick<StoredAuthority, 'meshId' | 'trustDomain'>,
  now: Date,
): Promise<Date | undefined> {
  const row = await db
    .selectFrom('join_token')
    .innerJoin('entry', (join) =>
      join
        .onRef('entry.mesh_id', '=', 'join_token.mesh_id')
        .onRef('entry.id', '=', 'join_token.entry_id'),
    )
    .select(({ fn }) => fn.max('join_token.expires_at').as('until'))
    .where('join_token.mesh_id', '=', meshId)
    .where('entry.trust_domain', '=', trustDomain)
    .where('join_token.used_at', 'is', null)
    .where('join_token.expires_at', '>', now)
    .executeTakeFirst()
  return dateOf(row?.until)
}

function later(one: Date | undefined, other: Date | undefined): Date | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return one > other ? one : other
}

// Aggregates over no rows are null on both engines.
function dateOf(value: Date | null | undefined): Date | undefined {
  return value ?? undefined
}
