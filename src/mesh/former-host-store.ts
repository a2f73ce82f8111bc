import { sql } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'

/** A host that a trust domain's endpoint has left and still answers under. */
export interface FormerHost {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly host: string
  /** Base of the URLs under it. */
  readonly baseUrl: string
  readonly since: Date
  readonly lastFetchAt: Date | undefined
}

const FORMER_HOST = [
  'mesh_id',
  'trust_domain',
  'host',
  'base_url',
  'since',
  'last_fetch_at',
] as const

/** The former hosts of a mesh, or of the service. */
export async function listFormerHosts(db: Db, meshId?: MeshId): Promise<FormerHost[]> {
  let query = db.selectFrom('bundle_host_alias').select(FORMER_HOST).orderBy('host')
  if (meshId !== undefined) query = query.where('mesh_id', '=', meshId)
  const rows = await query.execute()
  return rows.map((row) => ({
    meshId: row.mesh_id,
    trustDomain: row.trust_domain,
    host: row.host,
    baseUrl: row.base_url,
    since: row.since,
    lastFetchAt: row.last_fetch_at ?? undefined,
  }))
}

/** Keeps a host that is being left. */
export async function insertFormerHost(
  trx: Db,
  former: Omit<FormerHost, 'lastFetchAt'>,
): Promise<void> {
  await trx
    .insertInto('bundle_host_alias')
    .values({
      mesh_id: former.meshId,
      trust_domain: former.trustDomain,
      host: former.host,
      base_url: former.baseUrl,
      since: former.since,
      last_fetch_at: null,
    })
    .execute()
}

/** Answers under a former host no more; it is the domain's own again, or silent. */
export async function deleteFormerHost(
  trx: Db,
  { meshId, host }: Pick<FormerHost, 'meshId' | 'host'>,
): Promise<void> {
  await trx
    .deleteFrom('bundle_host_alias')
    .where('mesh_id', '=', meshId)
    .where('host', '=', host)
    .execute()
}

/** Writes down when somebody last fetched by these hosts. */
export async function noteFetches(
  db: Db,
  fetches: readonly { readonly host: string; readonly at: Date }[],
): Promise<void> {
  const rows = JSON.stringify(fetches.map(({ host, at }) => ({ host, at: at.toISOString() })))
  await sql`
    update bundle_host_alias as a set last_fetch_at = greatest(a.last_fetch_at, v.at)
    from jsonb_to_recordset(${rows}::jsonb) as v(host text, at timestamptz(3))
    where a.host = v.host`.execute(db)
}

/** Former hosts by which nobody came since a moment, locked until the transaction ends. */
export async function lockSilentHosts(trx: Db, since: Date): Promise<FormerHost[]> {
  const { rows } = await sql<{ host: string }>`
    select host from bundle_host_alias
    where greatest(since, last_fetch_at) < ${since} for update skip locked`.execute(trx)
  const silent = new Set(rows.map(({ host }) => host))
  return (await listFormerHosts(trx)).filter(({ host }) => silent.has(host))
}

/** Has a trust domain's endpoint stand under another host. */
export async function setHost(
  trx: Db,
  meshId: MeshId,
  to: { readonly trustDomain: TrustDomain; readonly host: string; readonly baseUrl: string },
): Promise<void> {
  await trx
    .updateTable('trust_domain')
    .set({ bundle_host: to.host, base_url: to.baseUrl })
    .where('mesh_id', '=', meshId)
    .where('name', '=', to.trustDomain)
    .execute()
}
