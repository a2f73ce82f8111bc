import { sql } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { StoredAuthority } from './authority.ts'

/** A new authority with its private key sealed. */
export interface NewAuthority extends Pick<
  StoredAuthority,
  | 'meshId'
  | 'trustDomain'
  | 'id'
  | 'kind'
  | 'cluster'
  | 'parentId'
  | 'notBefore'
  | 'notAfter'
  | 'certificate'
  | 'publicKey'
  | 'keyId'
  | 'preparedAt'
> {
  readonly sealedKey: Uint8Array
}

/** Stores a new authority in state `prepared`. */
export async function insertAuthority(trx: Db, authority: NewAuthority): Promise<void> {
  await trx
    .insertInto('authority')
    .values({
      mesh_id: authority.meshId,
      id: authority.id,
      trust_domain: authority.trustDomain,
      kind: authority.kind,
      cluster: authority.cluster ?? null,
      parent_id: authority.parentId ?? null,
      state: 'prepared',
      not_before: authority.notBefore,
      not_after: authority.notAfter,
      certificate: authority.certificate ?? null,
      public_key: authority.publicKey,
      key_id: authority.keyId,
      sealed_key: authority.sealedKey,
      prepared_at: authority.preparedAt,
      published_sequence: null,
      published_at: null,
      activated_at: null,
      retired_at: null,
      remove_at: null,
      removed_at: null,
    })
    .execute()
}

/** Notes in which bundle the authorities of a trust domain that were not published yet first stood. */
export async function markPublished(
  trx: Db,
  meshId: MeshId,
  published: {
    readonly trustDomain: TrustDomain
    readonly sequence: bigint
    readonly at: Date
  },
): Promise<void> {
  await trx
    .updateTable('authority')
    .set({ published_sequence: published.sequence, published_at: published.at })
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', published.trustDomain)
    .where('kind', '!=', 'x509_intermediate')
    .where('state', '!=', 'removed')
    .where('published_sequence', 'is', null)
    .execute()
}

/** Lets a prepared authority sign from now on. */
export async function setActive(
  trx: Db,
  meshId: MeshId,
  change: { readonly id: string; readonly at: Date; readonly forced: boolean },
): Promise<void> {
  await trx
    .updateTable('authority')
    .set({ state: 'active', activated_at: change.at, forced: change.forced })
    .where('mesh_id', '=', meshId)
    .where('id', '=', change.id)
    .where('state', '=', 'prepared')
    .execute()
}

/** Retires an active authority; its key is erased unless it stays for endpoint SVIDs. */
export async function setRetired(
  trx: Db,
  meshId: MeshId,
  change: {
    readonly id: string
    readonly at: Date
    readonly removeAt: Date
    readonly endpointOnly: boolean
  },
): Promise<void> {
  await trx
    .updateTable('authority')
    .set({
      state: 'retired',
      retired_at: change.at,
      remove_at: change.removeAt,
      endpoint_only: change.endpointOnly,
      ...(change.endpointOnly ? {} : { sealed_key: null }),
    })
    .where('mesh_id', '=', meshId)
    .where('id', '=', change.id)
    .where('state', '=', 'active')
    .execute()
}

/** Removes authorities and erases what is left of their private keys. */
export async function setRemoved(
  trx: Db,
  meshId: MeshId,
  change: { readonly ids: readonly string[]; readonly at: Date },
): Promise<void> {
  if (change.ids.length === 0) return
  await trx
    .updateTable('authority')
    .set({ state: 'removed', removed_at: change.at, sealed_key: null, endpoint_only: false })
    .where('mesh_id', '=', meshId)
    .where('id', 'in', [...change.ids])
    .where('state', '!=', 'removed')
    .execute()
}

/** Keeps the authorities of a cluster that is about to be deleted, tied to no cluster any more. */
export async function releaseCluster(trx: Db, meshId: MeshId, cluster: string): Promise<void> {
  await trx
    .updateTable('authority')
    .set({ cluster: null })
    .where('mesh_id', '=', meshId)
    .where('cluster', '=', cluster)
    .execute()
}

/** Deletes authorities that were removed, and ended, before `before`, and have none below them any more. */
export async function pruneRemoved(db: Db, before: Date): Promise<bigint> {
  const { numAffectedRows } = await sql`
    delete from authority as gone
    where state = 'removed' and removed_at < ${before} and not_after < ${before}
      and not exists (
        select 1 from authority as below
        where below.mesh_id = gone.mesh_id and below.parent_id = gone.id
      )`.execute(db)
  return numAffectedRows ?? 0n
}
