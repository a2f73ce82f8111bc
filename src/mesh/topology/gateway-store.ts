import type { Selectable } from 'kysely'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import type { GatewayTable } from '../../db/schema-topology.ts'
import { localityColumns, localityOf } from './locality.ts'
import type { TopologyGateway } from './topology.ts'

/** A gateway as it is kept. */
export interface KeptGateway extends TopologyGateway {
  readonly version: bigint
  readonly createdAt: Date
}

const COLUMNS = [
  'name',
  'network',
  'cluster',
  'address',
  'port',
  'region',
  'zone',
  'subzone',
  'sni_mode',
  'weight',
  'state',
  'heartbeat_seconds',
  'seen_at',
  'version',
  'created_at',
] as const

/** The gateways of a mesh by name. */
export async function listGateways(db: Db, meshId: MeshId): Promise<KeptGateway[]> {
  const query = db
    .selectFrom('gateway')
    .select(COLUMNS)
    .where('mesh_id', '=', meshId)
    .orderBy('name')
  return (await query.execute()).map(gatewayOf)
}

/** The gateways of these names, by name, locked until the transaction ends; those that there are. */
export async function lockGateways(
  trx: Db,
  meshId: MeshId,
  names: readonly string[],
): Promise<KeptGateway[]> {
  if (names.length === 0) return []
  const rows = await trx
    .selectFrom('gateway')
    .select(COLUMNS)
    .where('mesh_id', '=', meshId)
    .where('name', 'in', [...names])
    .orderBy('name')
    .forUpdate()
    .execute()
  return rows.map(gatewayOf)
}

/** Stores a new gateway; throws a unique violation for a taken name. */
export async function insertGateway(trx: Db, meshId: MeshId, gateway: KeptGateway): Promise<void> {
  const { name, createdAt } = gateway
  await trx
    .insertInto('gateway')
    .values({ mesh_id: meshId, name, created_at: createdAt, ...rowOf(gateway) })
    .execute()
}

/** Writes what of a gateway can change. */
export async function updateGateway(trx: Db, meshId: MeshId, gateway: KeptGateway): Promise<void> {
  await trx
    .updateTable('gateway')
    .set(rowOf(gateway))
    .where('mesh_id', '=', meshId)
    .where('name', '=', gateway.name)
    .execute()
}

/** Notes that gateways were heard. */
export async function touchGateways(
  trx: Db,
  meshId: MeshId,
  { names, at }: { readonly names: readonly string[]; readonly at: Date },
): Promise<void> {
  if (names.length === 0) return
  await trx
    .updateTable('gateway')
    .set({ seen_at: at })
    .where('mesh_id', '=', meshId)
    .where('name', 'in', [...names])
    .execute()
}

/** Deletes gateways. */
export async function deleteGateways(
  trx: Db,
  meshId: MeshId,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0) return
  await trx
    .deleteFrom('gateway')
    .where('mesh_id', '=', meshId)
    .where('name', 'in', [...names])
    .execute()
}

function rowOf(gateway: KeptGateway) {
  return {
    network: gateway.network,
    cluster: gateway.cluster ?? null,
    address: gateway.address,
    port: gateway.port,
    ...localityColumns(gateway.locality),
    sni_mode: gateway.sniMode,
    weight: gateway.weight,
    state: gateway.state,
    heartbeat_seconds: gateway.heartbeatSeconds ?? null,
    seen_at: gateway.seenAt ?? null,
    version: gateway.version,
  }
}

function gatewayOf(row: Pick<Selectable<GatewayTable>, (typeof COLUMNS)[number]>): KeptGateway {
  return {
    name: row.name,
    network: row.network,
    cluster: row.cluster ?? undefined,
    address: row.address,
    port: row.port,
    locality: localityOf(row),
    sniMode: row.sni_mode,
    weight: row.weight,
    state: row.state,
    heartbeatSeconds: row.heartbeat_seconds ?? undefined,
    seenAt: row.seen_at ?? undefined,
    version: row.version,
    createdAt: row.created_at,
  }
}
