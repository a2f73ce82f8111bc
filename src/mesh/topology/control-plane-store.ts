import type { Selectable } from 'kysely'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import type { ControlPlaneTable } from '../../db/schema-topology.ts'
import { localityOf } from './locality.ts'
import type { TopologyControlPlane } from './topology.ts'

/** A control plane as it is kept. */
export interface KeptControlPlane extends TopologyControlPlane {
  readonly version: bigint
  readonly createdAt: Date
}

const COLUMNS = [
  'name',
  'kind',
  'cluster',
  'address',
  'region',
  'zone',
  'state',
  'heartbeat_seconds',
  'seen_at',
  'version',
  'created_at',
] as const

/** The control planes of a mesh by name. */
export async function listControlPlanes(db: Db, meshId: MeshId): Promise<KeptControlPlane[]> {
  const query = db
    .selectFrom('control_plane')
    .select(COLUMNS)
    .where('mesh_id', '=', meshId)
    .orderBy('name')
  return (await query.execute()).map(controlPlaneOf)
}

/** The control planes of these names, by name, locked until the transaction ends; those that there are. */
export async function lockControlPlanes(
  trx: Db,
  meshId: MeshId,
  names: readonly string[],
): Promise<KeptControlPlane[]> {
  if (names.length === 0) return []
  const rows = await trx
    .selectFrom('control_plane')
    .select(COLUMNS)
    .where('mesh_id', '=', meshId)
    .where('name', 'in', [...names])
    .orderBy('name')
    .forUpdate()
    .execute()
  return rows.map(controlPlaneOf)
}

/** Stores a new control plane; throws a unique violation for a taken name. */
export async function insertControlPlane(
  trx: Db,
  meshId: MeshId,
  plane: KeptControlPlane,
): Promise<void> {
  const { name, createdAt } = plane
  await trx
    .insertInto('control_plane')
    .values({ mesh_id: meshId, name, created_at: createdAt, ...rowOf(plane) })
    .execute()
}

/** Writes what of a control plane can change. */
export async function updateControlPlane(
  trx: Db,
  meshId: MeshId,
  plane: KeptControlPlane,
): Promise<void> {
  await trx
    .updateTable('control_plane')
    .set(rowOf(plane))
    .where('mesh_id', '=', meshId)
    .where('name', '=', plane.name)
    .execute()
}

/** Notes that control planes were heard. */
export async function touchControlPlanes(
  trx: Db,
  meshId: MeshId,
  { names, at }: { readonly names: readonly string[]; readonly at: Date },
): Promise<void> {
  if (names.length === 0) return
  await trx
    .updateTable('control_plane')
    .set({ seen_at: at })
    .where('mesh_id', '=', meshId)
    .where('name', 'in', [...names])
    .execute()
}

/** Deletes a control plane; clusters that use it must have been taken off it. */
export async function deleteControlPlane(trx: Db, meshId: MeshId, name: string): Promise<void> {
  await trx
    .deleteFrom('control_plane')
    .where('mesh_id', '=', meshId)
    .where('name', '=', name)
    .execute()
}

/** Takes clusters off a control plane; the ranks of the others stay in order. */
export async function releaseControlPlane(trx: Db, meshId: MeshId, name: string): Promise<void> {
  await trx
    .deleteFrom('cluster_control_plane')
    .where('mesh_id', '=', meshId)
    .where('control_plane', '=', name)
    .execute()
}

function rowOf(plane: KeptControlPlane) {
  return {
    kind: plane.type,
    cluster: plane.cluster ?? null,
    address: plane.address ?? null,
    region: plane.locality.region ?? null,
    zone: plane.locality.zone ?? null,
    state: plane.state,
    heartbeat_seconds: plane.heartbeatSeconds ?? null,
    seen_at: plane.seenAt ?? null,
    version: plane.version,
  }
}

function controlPlaneOf(
  row: Pick<Selectable<ControlPlaneTable>, (typeof COLUMNS)[number]>,
): KeptControlPlane {
  return {
    name: row.name,
    type: row.kind,
    cluster: row.cluster ?? undefined,
    address: row.address ?? undefined,
    locality: localityOf(row),
    state: row.state,
    heartbeatSeconds: row.heartbeat_seconds ?? undefined,
    seenAt: row.seen_at ?? undefined,
    version: row.version,
    createdAt: row.created_at,
  }
}
