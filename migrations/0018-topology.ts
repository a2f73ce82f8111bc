import { type Kysely, sql } from 'kysely'

/** Control planes, networks and gateways beside clusters; every mesh gets one of each of the first two. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table mesh
    add column availability_target smallint check (availability_target between 1 and 5)`.execute(db)
  await sql`alter table cluster
    add column subzone text,
    add column version bigint not null default 1,
    add constraint cluster_zone_in_region check (zone is null or region is not null)`.execute(db)
  await sql`create table control_plane (
    mesh_id text not null references mesh on delete cascade,
    name text not null,
    kind text not null check (kind in ('primary', 'external', 'managed')),
    cluster text,
    address text,
    region text,
    zone text,
    state text not null check (state in ('active', 'draining', 'disabled')),
    heartbeat_seconds integer,
    seen_at timestamptz(3),
    version bigint not null default 1,
    created_at timestamptz(3) not null,
    primary key (mesh_id, name),
    foreign key (mesh_id, cluster) references cluster (mesh_id, name),
    check ((kind = 'primary') = (cluster is not null)),
    check (zone is null or region is not null)
  )`.execute(db)
  await sql`create table cluster_control_plane (
    mesh_id text not null,
    cluster text not null,
    control_plane text not null,
    rank integer not null,
    primary key (mesh_id, cluster, control_plane),
    unique (mesh_id, cluster, rank),
    foreign key (mesh_id, cluster) references cluster (mesh_id, name) on delete cascade,
    foreign key (mesh_id, control_plane) references control_plane (mesh_id, name)
  )`.execute(db)
  await sql`create table network (
    mesh_id text not null references mesh on delete cascade,
    name text not null,
    shared_name text,
    directly_reachable boolean not null default true,
    version bigint not null default 1,
    created_at timestamptz(3) not null,
    primary key (mesh_id, name)
  )`.execute(db)
  await sql`create unique index network_shared on network (mesh_id, shared_name)`.execute(db)
  await sql`create table cluster_network (
    mesh_id text not null,
    cluster text not null,
    network text not null,
    primary key (mesh_id, cluster, network),
    foreign key (mesh_id, cluster) references cluster (mesh_id, name) on delete cascade,
    foreign key (mesh_id, network) references network (mesh_id, name)
  )`.execute(db)
  await sql`create table gateway (
    mesh_id text not null references mesh on delete cascade,
    name text not null,
    network text not null,
    cluster text,
    address text not null,
    port integer not null check (port between 1 and 65535),
    region text,
    zone text,
    subzone text,
    sni_mode text not null check (sni_mode in ('auto-passthrough', 'hostname')),
    weight integer not null default 1 check (weight between 1 and 1000),
    state text not null check (state in ('active', 'draining', 'disabled')),
    heartbeat_seconds integer,
    seen_at timestamptz(3),
    version bigint not null default 1,
    created_at timestamptz(3) not null,
    primary key (mesh_id, name),
    foreign key (mesh_id, network) references network (mesh_id, name),
    foreign key (mesh_id, cluster) references cluster (mesh_id, name),
    check (zone is null or region is not null)
  )`.execute(db)
  await sql`create index control_plane_of_cluster on control_plane (mesh_id, cluster)`.execute(db)
  await sql`create index cluster_control_plane_of on cluster_control_plane (mesh_id, control_plane)`.execute(
    db,
  )
  await sql`create index cluster_network_of on cluster_network (mesh_id, network)`.execute(db)
  await sql`create index gateway_of_network on gateway (mesh_id, network)`.execute(db)
  await sql`create index gateway_of_cluster on gateway (mesh_id, cluster)`.execute(db)
  await firstOfEachMesh(db)
}

/** What a mesh that is made from now on has from its beginning. */
async function firstOfEachMesh(db: Kysely<unknown>): Promise<void> {
  await sql`insert into network (mesh_id, name, created_at)
    select mesh_id, 'default', created_at from mesh`.execute(db)
  await sql`insert into cluster_network (mesh_id, cluster, network)
    select mesh_id, name, 'default' from cluster`.execute(db)
  await sql`insert into control_plane (mesh_id, name, kind, cluster, state, created_at)
    select mesh_id, 'default', 'primary', min(name), 'active', min(created_at)
    from cluster group by mesh_id`.execute(db)
  await sql`insert into cluster_control_plane (mesh_id, cluster, control_plane, rank)
    select mesh_id, name, 'default', 1 from cluster`.execute(db)
}
