import { type Selectable, sql } from 'kysely'
import { chunksOf } from '../db/chunks.ts'
import { type MeshId } from '../db/ids.ts'
import { type EndpointReporterTable } from '../db/schema-policy.ts'
import { type Db } from '../db/schema.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { type EndpointDraft, endpointKey } from './report.ts'

/** A reporter in its cluster. */
export interface ReporterKey {
  readonly cluster: string
  readonly reporter: SpiffeId
}

/** How a reporter stands. */
export interface ReporterState {
  /** Grows with every accepted report. */
  readonly revision: bigint
  readonly ttlSeconds: number
  /** {@link readCatalogRevision} when it last sent everything. */
  readonly catalogRevision: bigint
  readonly seenAt: Date
}

const STATE = ['revision', 'ttl_seconds', 'catalog_revision', 'seen_at'] as const

/** How a reporter stands, locked until the transaction ends; undefined before its first report. */
export async function lockReporter(
  trx: Db,
  meshId: MeshId,
  { cluster, reporter }: ReporterKey,
): Promise<ReporterState | undefined> {
  const row = await trx
    .selectFrom('endpoint_reporter')
    .select(STATE)
    .where('mesh_id', '=', meshId)
    .where('cluster', '=', cluster)
    .where('reporter', '=', reporter)
    .forUpdate()
    .executeTakeFirst()
  return row && stateOf(row)
}

/**
 * As {@link lockReporter}, for a reporter that may be new: it then stands at revision 0. Of two first reports at once
 * one waits for the other.
 */
export async function claimReporter(
  trx: Db,
  meshId: MeshId,
  key: ReporterKey & { readonly now: Date },
): Promise<ReporterState> {
  const { cluster, reporter, now } = key
  const state = { revision: 0n, ttlSeconds: 1, catalogRevision: 0n, seenAt: now }
  await trx
    .insertInto('endpoint_reporter')
    .values({ mesh_id: meshId, cluster, reporter, ...columnsOf(state) })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  return (await lockReporter(trx, meshId, key)) ?? state
}

/** Writes how a reporter stands that is locked. */
export async function saveReporter(
  trx: Db,
  meshId: MeshId,
  { cluster, reporter, state }: ReporterKey & { readonly state: ReporterState },
): Promise<void> {
  await trx
    .updateTable('endpoint_reporter')
    .set(columnsOf(state))
    .where('mesh_id', '=', meshId)
    .where('cluster', '=', cluster)
    .where('reporter', '=', reporter)
    .execute()
}

function stateOf(
  row: Pick<Selectable<EndpointReporterTable>, (typeof STATE)[number]>,
): ReporterState {
  const {
    revision,
    ttl_seconds: ttlSeconds,
    catalog_revision: catalogRevision,
    seen_at: seenAt,
  } = row
  return { revision, ttlSeconds, catalogRevision, seenAt }
}

function columnsOf({ revision, ttlSeconds, catalogRevision, seenAt }: ReporterState) {
  return { revision, ttl_seconds: ttlSeconds, catalog_revision: catalogRevision, seen_at: seenAt }
}

/** Says that a reporter was heard; undefined before its first report. */
export async function touchReporter(
  trx: Db,
  meshId: MeshId,
  { cluster, reporter, now }: ReporterKey & { readonly now: Date },
): Promise<ReporterState | undefined> {
  const row = await trx
    .updateTable('endpoint_reporter')
    .set({ seen_at: now })
    .where('mesh_id', '=', meshId)
    .where('cluster', '=', cluster)
    .where('reporter', '=', reporter)
    .returning(STATE)
    .executeTakeFirst()
  return row && stateOf(row)
}

/** Forgets a reporter with all its endpoints of a cluster. */
export async function deleteReporter(
  trx: Db,
  meshId: MeshId,
  { cluster, reporter }: ReporterKey,
): Promise<void> {
  await trx
    .deleteFrom('endpoint_reporter')
    .where('mesh_id', '=', meshId)
    .where('cluster', '=', cluster)
    .where('reporter', '=', reporter)
    .execute()
}

/** How many endpoints a reporter has in a cluster. */
export async function countOfReporter(
  db: Db,
  meshId: MeshId,
  { cluster, reporter }: ReporterKey,
): Promise<number> {
  const { count } = await db
    .selectFrom('endpoint')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .where('mesh_id', '=', meshId)
    .where('cluster', '=', cluster)
    .where('reporter', '=', reporter)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** What a reporter reported of a cluster, by {@link endpointKey}. */
export async function endpointsOfReporter(
  db: Db,
  meshId: MeshId,
  { cluster, reporter }: ReporterKey,
): Promise<Map<string, EndpointDraft>> {
  const rows = await db
    .selectFrom('endpoint')
    .selectAll()
    .where('mesh_id', '=', meshId)
    .where('cluster', '=', cluster)
    .where('reporter', '=', reporter)
    .execute()
  return new Map(
    rows.map((row) => {
      const endpoint: EndpointDraft = {
        namespace: row.namespace,
        service: row.service,
        workloadUid: row.workload_uid,
        port: row.port,
        portName: row.port_name,
        network: row.network,
        address: row.address,
        region: row.region ?? undefined,
        zone: row.zone ?? undefined,
        subzone: row.subzone ?? undefined,
        weight: row.weight,
        isHealthy: row.is_healthy,
      }
      return [endpointKey(endpoint), endpoint]
    }),
  )
}

/** Endpoints that one statement stores or deletes. */
const CHUNK = 2000

/** Whose endpoints are written, and at what moment. */
export interface Writing extends ReporterKey {
  readonly now: Date
}

/** Stores endpoints, over what their reporter said of them before; throws a foreign key violation. */
export async function upsertEndpoints(
  trx: Db,
  meshId: MeshId,
  { endpoints, cluster, reporter, now }: Writing & { readonly endpoints: readonly EndpointDraft[] },
): Promise<void> {
  for (const chunk of chunksOf(endpoints, CHUNK)) {
    await sql`
      insert into endpoint (mesh_id, cluster, reporter, namespace, service, workload_uid, port,
        port_name, network, address, region, zone, subzone, weight, is_healthy, reported_at)
      select ${meshId}, ${cluster}, ${reporter}, e.namespace, e.service, e."workloadUid", e.port,
        e."portName", e.network, e.address, e.region, e.zone, e.subzone, e.weight, e."isHealthy",
        ${now}::timestamptz
      from jsonb_to_recordset(${JSON.stringify(chunk)}::jsonb) as e (namespace text, service text,
        "workloadUid" text, port integer, "portName" text, network text, address text,
        region text, zone text, subzone text, weight integer, "isHealthy" boolean)
      on conflict (mesh_id, cluster, reporter, namespace, service, workload_uid, port)
      do update set port_name = excluded.port_name, network = excluded.network,
        address = excluded.address, region = excluded.region, zone = excluded.zone,
        subzone = excluded.subzone, weight = excluded.weight, is_healthy = excluded.is_healthy,
        reported_at = excluded.reported_at`.execute(trx)
  }
}

/** Names one endpoint among those of its reporter. */
export type EndpointName = Pick<EndpointDraft, 'namespace' | 'service' | 'workloadUid' | 'port'>

/** Deletes endpoints of a reporter; those that are not there are passed over. */
export async function deleteEndpoints(
  trx: Db,
  meshId: MeshId,
  { names, cluster, reporter }: ReporterKey & { readonly names: readonly EndpointName[] },
): Promise<void> {
  for (const chunk of chunksOf(names, CHUNK)) {
    await sql`
      delete from endpoint using jsonb_to_recordset(${JSON.stringify(chunk)}::jsonb)
        as e (namespace text, service text, "workloadUid" text, port integer)
      where mesh_id = ${meshId} and cluster = ${cluster} and reporter = ${reporter}
        and endpoint.namespace = e.namespace and endpoint.service = e.service
        and endpoint.workload_uid = e."workloadUid" and endpoint.port = e.port`.execute(trx)
  }
}

/**
 * How often the catalogue of a mesh, or anything else that decisions depend on, has changed.
 *
 * A change raises it in its own transaction and holds it until that ends, so whatever is committed after it was read
 * has a greater one, whenever it began: read it before the services that it is to stand for.
 */
export async function readCatalogRevision(db: Db, meshId: MeshId): Promise<bigint> {
  const row = await db
    .selectFrom('change')
    .select('revision')
    .where('mesh_id', '=', meshId)
    .where('topic', '=', 'rule')
    .executeTakeFirst()
  return row?.revision ?? 0n
}

/**
 * Whether services of the mesh came or changed after a revision of its catalogue, so that endpoints of theirs may have
 * been passed over; also where the log of changes does not reach back so far.
 */
export async function isServiceNewerThan(
  db: Db,
  meshId: MeshId,
  revision: bigint,
): Promise<boolean> {
  const { rows } = await sql<{ is_newer: boolean }>`
    select c.revision > ${revision}::bigint and (
      not exists (select from policy_change l
        where l.mesh_id = c.mesh_id and l.revision = ${revision}::bigint + 1)
      or exists (select from policy_change l
        where l.mesh_id = c.mesh_id and l.revision > ${revision}::bigint and l.kind = 'all')
      or exists (select from policy_change l join service s on s.mesh_id = l.mesh_id
        and s.namespace = split_part(l.key, '/', 1) and s.name = split_part(l.key, '/', 2)
        where l.mesh_id = c.mesh_id and l.revision > ${revision}::bigint and l.kind = 'service')
    ) as is_newer from change c where c.mesh_id = ${meshId} and c.topic = 'rule'`.execute(db)
  return rows[0]?.is_newer === true
}

/** Forgets reporters that were last heard before a moment, with their endpoints; answers with how many. */
export async function pruneReporters(db: Db, before: Date): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('endpoint_reporter')
    .where('seen_at', '<', before)
    .executeTakeFirst()
  return Number(numDeletedRows)
}

/** Fresh endpoints of one cluster of a mesh. */
export interface ClusterCount {
  readonly meshId: MeshId
  readonly cluster: string
  readonly count: number
}

/** How many fresh endpoints each cluster has, the largest first. */
export async function countByCluster(db: Db, now: Date): Promise<ClusterCount[]> {
  const { rows } = await sql<{ mesh_id: MeshId; cluster: string; count: bigint }>`
    select e.mesh_id, e.cluster, count(*) as count from endpoint e
    join endpoint_reporter r
      on r.mesh_id = e.mesh_id and r.cluster = e.cluster and r.reporter = e.reporter
    where r.seen_at + make_interval(secs => r.ttl_seconds) >= ${now}::timestamptz
    group by e.mesh_id, e.cluster order by count(*) desc, e.mesh_id, e.cluster`.execute(db)
  return rows.map((row) => ({
    meshId: row.mesh_id,
    cluster: row.cluster,
    count: Number(row.count),
  }))
}
