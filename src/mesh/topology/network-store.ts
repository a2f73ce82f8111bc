import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import type { TopologyNetwork } from './topology.ts'

/** A network as it is kept. */
export interface KeptNetwork extends TopologyNetwork {
  readonly version: bigint
  readonly createdAt: Date
}

const COLUMNS = ['name', 'shared_name', 'directly_reachable', 'version', 'created_at'] as const

/** The networks of a mesh by name. */
export async function listNetworks(db: Db, meshId: MeshId): Promise<KeptNetwork[]> {
  const query = db
    .selectFrom('network')
    .select(COLUMNS)
    .where('mesh_id', '=', meshId)
    .orderBy('name')
  return (await query.execute()).map(networkOf)
}

/** Stores a new network; throws a unique violation for a taken name or shared name. */
export async function insertNetwork(trx: Db, meshId: MeshId, network: KeptNetwork): Promise<void> {
  const { name, createdAt } = network
  await trx
    .insertInto('network')
    .values({ mesh_id: meshId, name, created_at: createdAt, ...rowOf(network) })
    .execute()
}

/** Writes what of a network can change; throws a unique violation for a taken shared name. */
export async function updateNetwork(trx: Db, meshId: MeshId, network: KeptNetwork): Promise<void> {
  await trx
    .updateTable('network')
    .set(rowOf(network))
    .where('mesh_id', '=', meshId)
    .where('name', '=', network.name)
    .execute()
}

/** Deletes a network that no cluster and no gateway is in. */
export async function deleteNetwork(trx: Db, meshId: MeshId, name: string): Promise<void> {
  await trx.deleteFrom('network').where('mesh_id', '=', meshId).where('name', '=', name).execute()
}

/** Takes clusters out of a network. */
export async function emptyNetwork(trx: Db, meshId: MeshId, network: string): Promise<void> {
  await trx
    .deleteFrom('cluster_network')
    .where('mesh_id', '=', meshId)
    .where('network', '=', network)
    .execute()
}

function rowOf(network: KeptNetwork) {
  return {
    shared_name: network.sharedName ?? null,
    directly_reachable: network.isDirectlyReachable,
    version: network.version,
  }
}

function networkOf(row: {
  readonly name: string
  readonly shared_name: string | null
  readonly directly_reachable: boolean
  readonly version: bigint
  readonly created_at: Date
}): KeptNetwork {
  return {
    name: row.name,
    sharedName: row.shared_name ?? undefined,
    isDirectlyReachable: row.directly_reachable,
    version: row.version,
    createdAt: row.created_at,
  }
}
