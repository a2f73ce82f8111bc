import { type RawBuilder, type Selectable, sql, type SqlBool } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import { type EndpointReporterTable, type EndpointTable } from '../db/schema-policy.ts'
import { type Db } from '../db/schema.ts'
import { localityOf } from '../mesh/topology/locality.ts'
import { type ReportedEndpoint } from './endpoint.ts'

/** Which endpoints are wanted. */
export interface EndpointPage {
  readonly namespace?: string | undefined
  readonly service?: string | undefined
  readonly cluster?: string | undefined
  /** Only in these namespaces; undefined = all. */
  readonly among?: readonly string[] | undefined
  /** Only those that are fresh at this moment. */
  readonly freshAt?: Date | undefined
  /** Namespace, service, cluster, reporter, workload and port of the last one shown before. */
  readonly after?: readonly string[] | undefined
  readonly limit?: number | undefined
}

/** Endpoints of a mesh by service, cluster, reporter, workload and port. */
export async function listEndpoints(
  db: Db,
  meshId: MeshId,
  page: EndpointPage,
): Promise<ReportedEndpoint[]> {
  let query = db
    .selectFrom('endpoint as e')
    .innerJoin('endpoint_reporter as r', (join) =>
      join
        .onRef('r.mesh_id', '=', 'e.mesh_id')
        .onRef('r.cluster', '=', 'e.cluster')
        .onRef('r.reporter', '=', 'e.reporter'),
    )
    .selectAll('e')
    .select(['r.seen_at', 'r.ttl_seconds'])
    .where('e.mesh_id', '=', meshId)
    .orderBy('e.namespace')
    .orderBy('e.service')
    .orderBy('e.cluster')
    .orderBy('e.reporter')
    .orderBy('e.workload_uid')
    .orderBy('e.port')
  const { among, namespace, service, cluster, freshAt, after, limit } = page
  if (among !== undefined) {
    query = query.where('e.namespace', 'in', among.length === 0 ? [''] : among)
  }
  if (namespace !== undefined) query = query.where('e.namespace', '=', namespace)
  if (service !== undefined) query = query.where('e.service', '=', service)
  if (cluster !== undefined) query = query.where('e.cluster', '=', cluster)
  if (freshAt !== undefined) query = query.where(isFreshAt(freshAt))
  if (after?.length === PLACE) query = query.where(isAfter(after))
  if (limit !== undefined) query = query.limit(limit)
  return (await query.execute()).map(endpointOf)
}

/** Parts of a place in the list. */
export const PLACE = 6

function isFreshAt(moment: Date): RawBuilder<SqlBool> {
  return sql`r.seen_at + make_interval(secs => r.ttl_seconds) >= ${moment}::timestamptz`
}

function isAfter(place: readonly string[]): RawBuilder<SqlBool> {
  const [namespace, service, cluster, reporter, workload, port] = place
  return sql`(e.namespace, e.service, e.cluster, e.reporter, e.workload_uid, e.port)
    > (${namespace}, ${service}, ${cluster}, ${reporter}, ${workload}, ${Number(port)}::integer)`
}

type EndpointRow = Selectable<EndpointTable> &
  Pick<Selectable<EndpointReporterTable>, 'seen_at' | 'ttl_seconds'>

function endpointOf(row: EndpointRow): ReportedEndpoint {
  return {
    cluster: row.cluster,
    network: row.network,
    namespace: row.namespace,
    service: row.service,
    workloadUid: row.workload_uid,
    address: row.address,
    port: row.port,
    portName: row.port_name,
    locality: localityOf(row),
    weight: row.weight,
    isHealthy: row.is_healthy,
    reporter: row.reporter,
    freshUntil: new Date(row.seen_at.getTime() + row.ttl_seconds * 1000),
  }
}
