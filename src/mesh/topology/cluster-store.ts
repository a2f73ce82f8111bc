import type { MeshId } from '../../db/ids.ts'
import type { ClusterTable, Db, OperatingState } from '../../db/schema.ts'
import { localityColumns, localityOf } from './locality.ts'
import type { TopologyCluster } from './topology.ts'

/** A cluster as it is kept. */
export interface KeptCluster extends TopologyCluster {
  readonly issuing: ClusterTable['issuing']
  readonly version: bigint
  readonly createdAt: Date
}

const COLUMNS = [
  'name',
  'role',
  'state',
  'issuing',
  'region',
  'zone',
  'subzone',
  'version',
  'created_at',
] as const

/** The clusters of a mesh by name, with their networks and control planes. */
export async function listClusters(db: Db, meshId: MeshId): Promise<KeptCluster[]> {
  const query = db
    .selectFrom('cluster')
    .select(COLUMNS)
    .where('mesh_id', '=', meshId)
    .orderBy('name')
  return withLinks(db, meshId, await query.execute())
}

/** Stores a new cluster with its networks and control planes. */
export async function insertCluster(trx: Db, meshId: MeshId, cluster: KeptCluster): Promise<void> {
  await trx
    .insertInto('cluster')
    .values({
      mesh_id: meshId,
      name: cluster.name,
      created_at: cluster.createdAt,
      ...rowOf(cluster),
    })
    .execute()
  await insertLinks(trx, meshId, cluster)
}

/** Writes what of a cluster can change. */
export async function updateCluster(trx: Db, meshId: MeshId, cluster: KeptCluster): Promise<void> {
  await trx
    .updateTable('cluster')
    .set(rowOf(cluster))
    .where('mesh_id', '=', meshId)
    .where('name', '=', cluster.name)
    .execute()
  await deleteLinks(trx, meshId, cluster.name)
  await insertLinks(trx, meshId, cluster)
}

/** Deletes a cluster with its place in networks and under control planes. */
export async function deleteCluster(trx: Db, meshId: MeshId, name: string): Promise<void> {
  await deleteLinks(trx, meshId, name)
  await trx.deleteFrom('cluster').where('mesh_id', '=', meshId).where('name', '=', name).execute()
}

/** Puts a cluster into a network and under a control plane, with a rank. */
export async function insertLinks(
  trx: Db,
  meshId: MeshId,
  { name, networks, controlPlanes }: Pick<KeptCluster, 'name' | 'networks' | 'controlPlanes'>,
): Promise<void> {
  if (networks.length > 0) {
    const rows = networks.map((network) => ({ mesh_id: meshId, cluster: name, network }))
    await trx.insertInto('cluster_network').values(rows).execute()
  }
  if (controlPlanes.length > 0) {
    const rows = controlPlanes.map((plane, index) => ({
      mesh_id: meshId,
      cluster: name,
      control_plane: plane,
      rank: index + 1,
    }))
    await trx.insertInto('cluster_control_plane').values(rows).execute()
  }
}

async function deleteLinks(trx: Db, meshId: MeshId, cluster: string): Promise<void> {
  for (const table of ['cluster_network', 'cluster_control_plane'] as const) {
    await trx
      .deleteFrom(table)
      .where('mesh_id', '=', meshId)
      .where('cluster', '=', cluster)
      .execute()
  }
}

function rowOf(cluster: KeptCluster) {
  return {
    role: cluster.role,
    state: cluster.state,
    issuing: cluster.issuing,
    ...localityColumns(cluster.locality),
    version: cluster.version,
  }
}

interface Row {
  readonly name: string
  readonly role: ClusterTable['role']
  readonly state: OperatingState
  readonly issuing: ClusterTable['issuing']
  readonly region: string | null
  readonly zone: string | null
  readonly subzone: string | null
  readonly version: bigint
  readonly created_at: Date
}

async function withLinks(db: Db, meshId: MeshId, rows: readonly Row[]): Promise<KeptCluster[]> {
  if (rows.length === 0) return []
  const names = rows.map(({ name }) => name)
  const networks = await db
    .selectFrom('cluster_network')
    .select(['cluster', 'network'])
    .where('mesh_id', '=', meshId)
    .where('cluster', 'in', names)
    .orderBy('network')
    .execute()
  const planes = await db
    .selectFrom('cluster_control_plane')
    .select(['cluster', 'control_plane'])
    .where('mesh_id', '=', meshId)
    .where('cluster', 'in', names)
    .orderBy('rank')
    .execute()
  const networksOf = Map.groupBy(networks, ({ cluster }) => cluster)
  const planesOf = Map.groupBy(planes, ({ cluster }) => cluster)
  return rows.map((row) => ({
    name: row.name,
    role: row.role,
    state: row.state,
    issuing: row.issuing,
    locality: localityOf(row),
    networks: (networksOf.get(row.name) ?? []).map(({ network }) => network),
    controlPlanes: (planesOf.get(row.name) ?? []).map((link) => link.control_plane),
    version: row.version,
    createdAt: row.created_at,
  }))
}
