import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import { type ServiceTable } from '../db/schema-policy.ts'
import { type Db } from '../db/schema.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import {
  type Port,
  type Service,
  type ServiceContent,
  type ServiceName,
  serviceTitle,
} from './service.ts'

const SERVICE = [
  'mesh_id',
  'namespace',
  'name',
  'ports',
  'labels',
  'managed_by',
  'version',
  'created_at',
] as const

/** Stores a new service with its identities; throws a unique violation when its name is taken. */
export async function insertService(trx: Db, meshId: MeshId, service: Service): Promise<void> {
  await trx
    .insertInto('service')
    .values({
      mesh_id: meshId,
      namespace: service.namespace,
      name: service.name,
      ports: JSON.stringify(service.ports),
      labels: JSON.stringify(service.labels),
      managed_by: JSON.stringify(service.managedBy),
      version: service.version,
      created_at: service.createdAt,
    })
    .execute()
  await insertIdentities(trx, meshId, service)
}

/** The service of this name. */
export async function findService(
  db: Db,
  meshId: MeshId,
  name: ServiceName,
): Promise<Service | undefined> {
  const row = await db
    .selectFrom('service')
    .select(SERVICE)
    .where('mesh_id', '=', meshId)
    .where('namespace', '=', name.namespace)
    .where('name', '=', name.name)
    .executeTakeFirst()
  return row === undefined ? undefined : (await withIdentities(db, meshId, [row]))[0]
}

/** The service of this name, locked until the transaction ends. */
export async function lockService(
  trx: Db,
  meshId: MeshId,
  name: ServiceName,
): Promise<Service | undefined> {
  const row = await trx
    .selectFrom('service')
    .select('version')
    .where('mesh_id', '=', meshId)
    .where('namespace', '=', name.namespace)
    .where('name', '=', name.name)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : findService(trx, meshId, name)
}

/** Those of these services that the mesh has, by title; one statement however many they are. */
export async function servicesNamed(
  db: Db,
  meshId: MeshId,
  names: readonly ServiceName[],
): Promise<Map<string, Pick<Service, 'ports'>>> {
  const wanted = names.map(({ namespace, name }) => ({ namespace, name }))
  const { rows } = await sql<ServiceName & { ports: readonly Port[] }>`
    select s.namespace, s.name, s.ports from service s
    join jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb) as w (namespace text, name text)
      on w.namespace = s.namespace and w.name = s.name
    where s.mesh_id = ${meshId}`.execute(db)
  return new Map(rows.map((row) => [serviceTitle(row), { ports: row.ports }]))
}

/** When services were made, by title; those that the mesh does not have are left out. */
export async function createdAt(
  db: Db,
  meshId: MeshId,
  names: readonly ServiceName[],
): Promise<Map<string, Date>> {
  const wanted = names.map(({ namespace, name }) => ({ namespace, name }))
  const { rows } = await sql<ServiceName & { created_at: Date }>`
    select s.namespace, s.name, s.created_at from service s
    join jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb) as w (namespace text, name text)
      on w.namespace = s.namespace and w.name = s.name
    where s.mesh_id = ${meshId}`.execute(db)
  return new Map(rows.map((row) => [serviceTitle(row), row.created_at]))
}

/** Which part of a list is wanted. */
export interface ServicePage {
  readonly namespace?: string | undefined
  /** Only in these namespaces; undefined = all. */
  readonly among?: readonly string[] | undefined
  /** Just these, at least one. */
  readonly names?: readonly ServiceName[] | undefined
  /** Namespace and name of the last one shown before. */
  readonly after?: readonly string[] | undefined
  readonly limit?: number | undefined
}

/** Services by namespace and name. */
export async function listServices(db: Db, meshId: MeshId, page: ServicePage): Promise<Service[]> {
  let query = db
    .selectFrom('service')
    .select(SERVICE)
    .where('mesh_id', '=', meshId)
    .orderBy('namespace')
    .orderBy('name')
  if (page.namespace !== undefined) query = query.where('namespace', '=', page.namespace)
  const { among } = page
  if (among !== undefined) {
    query = query.where('namespace', 'in', among.length === 0 ? [''] : among)
  }
  const { names } = page
  if (names !== undefined) {
    query = query.where((eb) =>
      eb(
        eb.refTuple('namespace', 'name'),
        'in',
        names.map((one) => eb.tuple(one.namespace, one.name)),
      ),
    )
  }
  const [namespace, name] = page.after ?? []
  if (namespace !== undefined && name !== undefined) {
    query = query.where((eb) =>
      eb(eb.refTuple('namespace', 'name'), '>', eb.tuple(namespace, name)),
    )
  }
  if (page.limit !== undefined) query = query.limit(page.limit)
  return withIdentities(db, meshId, await query.execute())
}

/** Writes what of a service can change. */
export async function updateService(trx: Db, meshId: MeshId, service: Service): Promise<void> {
  await trx
    .updateTable('service')
    .set({
      ports: JSON.stringify(service.ports),
      labels: JSON.stringify(service.labels),
      managed_by: JSON.stringify(service.managedBy),
      version: service.version,
    })
    .where('mesh_id', '=', meshId)
    .where('namespace', '=', service.namespace)
    .where('name', '=', service.name)
    .execute()
  await trx
    .deleteFrom('service_identity')
    .where('mesh_id', '=', meshId)
    .where('namespace', '=', service.namespace)
    .where('name', '=', service.name)
    .execute()
  await insertIdentities(trx, meshId, service)
}

/** Deletes a service. */
export async function deleteService(trx: Db, meshId: MeshId, name: ServiceName): Promise<void> {
  await trx
    .deleteFrom('service')
    .where('mesh_id', '=', meshId)
    .where('namespace', '=', name.namespace)
    .where('name', '=', name.name)
    .execute()
}

/** How many services a mesh has. */
export async function countServices(db: Db, meshId: MeshId): Promise<number> {
  const { count } = await db
    .selectFrom('service')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .where('mesh_id', '=', meshId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

async function insertIdentities(trx: Db, meshId: MeshId, service: ServiceContent): Promise<void> {
  const { namespace, name, identities } = service
  const rows = identities.map((id) => ({ mesh_id: meshId, namespace, name, spiffe_id: id }))
  await trx.insertInto('service_identity').values(rows).execute()
}

type ServiceRow = Pick<Selectable<ServiceTable>, (typeof SERVICE)[number]>

/** Most rows that are worth naming one by one; more are read with all identities of the mesh. */
const NAMED = 500

async function withIdentities(
  db: Db,
  meshId: MeshId,
  rows: readonly ServiceRow[],
): Promise<Service[]> {
  if (rows.length === 0) return []
  let query = db
    .selectFrom('service_identity')
    .select(['namespace', 'name', 'spiffe_id'])
    .where('mesh_id', '=', meshId)
    .orderBy('spiffe_id')
  if (rows.length <= NAMED) {
    query = query.where((eb) =>
      eb(
        eb.refTuple('namespace', 'name'),
        'in',
        rows.map((row) => eb.tuple(row.namespace, row.name)),
      ),
    )
  }
  const byService = new Map<string, SpiffeId[]>()
  for (const row of await query.execute()) {
    const title = serviceTitle(row)
    const ids = byService.get(title)
    if (ids === undefined) byService.set(title, [row.spiffe_id])
    else ids.push(row.spiffe_id)
  }
  return rows.map((row) => serviceOf(row, byService.get(serviceTitle(row)) ?? []))
}

function serviceOf(row: ServiceRow, identities: readonly SpiffeId[]): Service {
  return {
    namespace: row.namespace,
    name: row.name,
    ports: row.ports as readonly Port[],
    identities,
    labels: row.labels,
    managedBy: row.managed_by,
    version: row.version,
    createdAt: row.created_at,
  }
}
