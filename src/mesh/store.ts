import { type Selectable, sql } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { ClusterTable, Db, MeshTable, TrustDomainTable } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { Cluster, Mesh, MeshTrustDomain } from './mesh.ts'
import { settingsInForce, settingsToStore } from './settings.ts'

const MESH = [
  'mesh_id',
  'display_name',
  'dns_suffix',
  'environment',
  'settings',
  'availability_target',
  'version',
  'created_at',
] as const

const DOMAIN = [
  'name',
  'mesh_id',
  'is_primary',
  'issuer',
  'observed_from',
  'bundle_host',
  'base_url',
  'profile',
  'made_nr',
  'created_at',
] as const

const FORMER_HOSTS = sql<string[]>`array(
  select a.host from bundle_host_alias a
  where a.mesh_id = trust_domain.mesh_id and a.trust_domain = trust_domain.name order by a.host
)`.as('former_hosts')

/** Stores a new mesh; throws a unique violation when its id is taken. */
export async function insertMesh(trx: Db, mesh: Mesh): Promise<void> {
  await trx
    .insertInto('mesh')
    .values({
      mesh_id: mesh.meshId,
      display_name: mesh.displayName,
      dns_suffix: mesh.dnsSuffix,
      environment: mesh.environment ?? null,
      settings: JSON.stringify(settingsToStore(mesh.settings)),
      availability_target: mesh.availabilityTarget ?? null,
      version: mesh.version,
      created_at: mesh.createdAt,
    })
    .execute()
}

/** Stores a new trust domain and answers with it, its number included. */
export async function insertTrustDomain(
  trx: Db,
  domain: Omit<MeshTrustDomain, 'madeNr'>,
): Promise<MeshTrustDomain> {
  const row = await trx
    .insertInto('trust_domain')
    .values({
      name: domain.name,
      mesh_id: domain.meshId,
      is_primary: domain.isPrimary,
      issuer: domain.issuer,
      observed_from: domain.observedFrom ?? null,
      bundle_host: domain.bundleHost ?? null,
      base_url: domain.baseUrl ?? null,
      profile: domain.profile,
      created_at: domain.createdAt,
    })
    .returning([...DOMAIN, FORMER_HOSTS])
    .executeTakeFirstOrThrow()
  return domainOf(row)
}

/** Hands the signing for a trust domain to us, or only takes note of who else signs for it. */
export async function setIssuer(
  trx: Db,
  meshId: MeshId,
  { name, issuer, observedFrom }: Pick<MeshTrustDomain, 'name' | 'issuer' | 'observedFrom'>,
): Promise<void> {
  await trx
    .updateTable('trust_domain')
    .set({ issuer, observed_from: observedFrom ?? null })
    .where('mesh_id', '=', meshId)
    .where('name', '=', name)
    .execute()
}

/** Stores a new cluster. */
export async function insertCluster(
  trx: Db,
  meshId: MeshId,
  cluster: Cluster & { readonly createdAt: Date },
): Promise<void> {
  await trx
    .insertInto('cluster')
    .values({
      mesh_id: meshId,
      name: cluster.name,
      role: cluster.role,
      region: null,
      zone: null,
      state: cluster.state,
      issuing: cluster.issuing,
      created_at: cluster.createdAt,
    })
    .execute()
}

/** The mesh with this id. */
export async function findMesh(db: Db, meshId: MeshId): Promise<Mesh | undefined> {
  const row = await db
    .selectFrom('mesh')
    .select(MESH)
    .where('mesh_id', '=', meshId)
    .executeTakeFirst()
  return row === undefined ? undefined : meshOf(row)
}

/** The mesh with this id, locked until the transaction ends. */
export async function lockMesh(trx: Db, meshId: MeshId): Promise<Mesh | undefined> {
  const row = await trx
    .selectFrom('mesh')
    .select(MESH)
    .where('mesh_id', '=', meshId)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : meshOf(row)
}

/** Which part of the list of meshes is wanted. */
export interface MeshPage {
  readonly after?: string | undefined
  readonly limit?: number | undefined
  /** Only these; undefined = all. */
  readonly among?: readonly string[] | undefined
}

/** Meshes in the order of their ids, after `after` when given; at most `limit`. */
export async function listMeshes(db: Db, { after, limit, among }: MeshPage): Promise<Mesh[]> {
  let query = db.selectFrom('mesh').select(MESH).orderBy('mesh_id')
  if (after !== undefined) query = query.where('mesh_id', '>', after as MeshId)
  if (among !== undefined) {
    query = query.where('mesh_id', 'in', (among.length === 0 ? [''] : among) as MeshId[])
  }
  if (limit !== undefined) query = query.limit(limit)
  return (await query.execute()).map(meshOf)
}

/** Writes what of a mesh can change. */
export async function updateMesh(trx: Db, mesh: Mesh): Promise<void> {
  await trx
    .updateTable('mesh')
    .set({
      display_name: mesh.displayName,
      dns_suffix: mesh.dnsSuffix,
      environment: mesh.environment ?? null,
      settings: JSON.stringify(settingsToStore(mesh.settings)),
      availability_target: mesh.availabilityTarget ?? null,
      version: mesh.version,
    })
    .where('mesh_id', '=', mesh.meshId)
    .execute()
}

/** Deletes a mesh with everything that is its own. */
export async function deleteMesh(trx: Db, meshId: MeshId): Promise<void> {
  await trx.deleteFrom('mesh').where('mesh_id', '=', meshId).execute()
}

/** All trust domains of one mesh, or of the service, the first made first. */
export async function listTrustDomains(db: Db, meshId?: MeshId): Promise<MeshTrustDomain[]> {
  let query = db
    .selectFrom('trust_domain')
    .select([...DOMAIN, FORMER_HOSTS])
    .orderBy('made_nr')
  if (meshId !== undefined) query = query.where('mesh_id', '=', meshId)
  return (await query.execute()).map(domainOf)
}

/** Locks a trust domain of a mesh until the transaction ends: whoever changes its keys or bundle holds it. */
export async function lockTrustDomain(
  trx: Db,
  meshId: MeshId,
  name: TrustDomain,
): Promise<MeshTrustDomain | undefined> {
  const row = await trx
    .selectFrom('trust_domain')
    .select([...DOMAIN, FORMER_HOSTS])
    .where('mesh_id', '=', meshId)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : domainOf(row)
}

/** The bundle hosts in use in the whole service, those that were left included. */
export async function takenBundleHosts(db: Db): Promise<Set<string>> {
  const { rows } = await sql<{ host: string }>`
    select bundle_host as host from trust_domain where bundle_host is not null
    union select host from bundle_host_alias`.execute(db)
  return new Set(rows.map(({ host }) => host))
}

/** The clusters of a mesh by name. */
export async function listClusters(db: Db, meshId: MeshId): Promise<Cluster[]> {
  const rows = await db
    .selectFrom('cluster')
    .select(['name', 'role', 'state', 'issuing'])
    .where('mesh_id', '=', meshId)
    .orderBy('name')
    .execute()
  return rows.map(clusterOf)
}

/** The clusters of every mesh. */
export async function listAllClusters(db: Db): Promise<Map<MeshId, Cluster[]>> {
  const rows = await db
    .selectFrom('cluster')
    .select(['mesh_id', 'name', 'role', 'state', 'issuing'])
    .orderBy('name')
    .execute()
  const grouped = Map.groupBy(rows, ({ mesh_id: meshId }) => meshId)
  return new Map([...grouped].map(([meshId, found]) => [meshId, found.map(clusterOf)]))
}

function clusterOf(row: Pick<Selectable<ClusterTable>, keyof Cluster>): Cluster {
  return { name: row.name, role: row.role, state: row.state, issuing: row.issuing }
}

function meshOf(row: Pick<Selectable<MeshTable>, (typeof MESH)[number]>): Mesh {
  return {
    meshId: row.mesh_id,
    displayName: row.display_name,
    dnsSuffix: row.dns_suffix,
    environment: row.environment ?? undefined,
    settings: settingsInForce(row.settings),
    availabilityTarget: row.availability_target ?? undefined,
    version: row.version,
    createdAt: row.created_at,
  }
}

function domainOf(
  row: Omit<Selectable<TrustDomainTable>, 'recovery'> & {
    readonly former_hosts: readonly string[]
  },
): MeshTrustDomain {
  return {
    name: row.name,
    meshId: row.mesh_id,
    isPrimary: row.is_primary,
    issuer: row.issuer,
    observedFrom: row.observed_from ?? undefined,
    bundleHost: row.bundle_host ?? undefined,
    baseUrl: row.base_url ?? undefined,
    formerHosts: row.former_hosts,
    profile: row.profile,
    madeNr: row.made_nr,
    createdAt: row.created_at,
  }
}
