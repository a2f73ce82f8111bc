import { type Kysely, sql } from 'kysely'

/** Labels of services, the endpoints that clusters report, and the cluster that an entry is tied to. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table service
    add column labels jsonb not null default '{}',
    add column managed_by jsonb not null default '[]'`.execute(db)
  await sql`create table service_source (
    mesh_id text not null,
    namespace text not null,
    name text not null,
    source text not null,
    content jsonb not null,
    created_at timestamptz(3) not null,
    primary key (mesh_id, source, namespace, name),
    foreign key (mesh_id, namespace, name) references service (mesh_id, namespace, name) on delete cascade
  )`.execute(db)
  await sql`create index service_source_of_service on service_source
    (mesh_id, namespace, name)`.execute(db)
  await sql`alter table offer
    add column labels jsonb not null default '{}',
    add column gateways jsonb not null default '[]'`.execute(db)
  await sql`alter table entry
    add column cluster text,
    add constraint entry_cluster foreign key (mesh_id, cluster) references cluster (mesh_id, name)`.execute(
    db,
  )
  await sql`create index entry_of_cluster on entry (mesh_id, cluster)`.execute(db)
  await sql`create table endpoint_reporter (
    mesh_id text not null,
    cluster text not null,
    reporter text not null,
    revision bigint not null,
    ttl_seconds integer not null,
    full_at timestamptz(3) not null,
    seen_at timestamptz(3) not null,
    primary key (mesh_id, cluster, reporter),
    foreign key (mesh_id, cluster) references cluster (mesh_id, name) on delete cascade
  )`.execute(db)
  await sql`create table endpoint (
    mesh_id text not null,
    cluster text not null,
    reporter text not null,
    namespace text not null,
    service text not null,
    workload_uid text not null,
    port integer not null check (port between 1 and 65535),
    port_name text not null,
    network text not null,
    address text not null,
    region text,
    zone text,
    subzone text,
    weight integer not null default 1,
    is_healthy boolean not null default true,
    reported_at timestamptz(3) not null,
    primary key (mesh_id, cluster, reporter, namespace, service, workload_uid, port),
    foreign key (mesh_id, cluster, reporter) references endpoint_reporter on delete cascade,
    foreign key (mesh_id, namespace, service) references service (mesh_id, namespace, name) on delete cascade,
    foreign key (mesh_id, network) references network (mesh_id, name)
  )`.execute(db)
  await sql`create index endpoint_of_service on endpoint
    (mesh_id, namespace, service, cluster, reporter, workload_uid, port)`.execute(db)
  await sql`create index endpoint_of_network on endpoint (mesh_id, network)`.execute(db)
  await sql`create index endpoint_reporter_seen on endpoint_reporter (seen_at)`.execute(db)
  await sql`create index service_age on service (mesh_id, created_at)`.execute(db)
}
