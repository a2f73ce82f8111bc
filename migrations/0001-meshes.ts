import { type Kysely, sql } from 'kysely'

/** Meshes, their trust domains and clusters; change counters, leases, replicas, secrets. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table service_meta (name text primary key, value text not null)`.execute(db)
  await sql`create table mesh (
    mesh_id text primary key check (mesh_id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    display_name text not null,
    dns_suffix text not null,
    environment text,
    settings jsonb not null,
    version bigint not null default 1,
    created_at timestamptz(3) not null
  )`.execute(db)
  await sql`create table trust_domain (
    name text primary key check (name ~ '^[a-z0-9._-]{1,255}$'),
    mesh_id text not null references mesh on delete cascade,
    is_primary boolean not null,
    issuer text not null check (issuer in ('managed', 'observed')),
    bundle_host text unique,
    profile text not null check (profile in ('https_web', 'https_spiffe')),
    made_nr bigint generated always as identity,
    created_at timestamptz(3) not null,
    unique (mesh_id, name)
  )`.execute(db)
  await sql`create unique index trust_domain_primary on trust_domain (mesh_id) where is_primary`.execute(
    db,
  )
  await sql`create table cluster (
    mesh_id text not null references mesh on delete cascade,
    name text not null,
    role text not null check (role in ('primary', 'remote')),
    region text,
    zone text,
    state text not null check (state in ('active', 'draining', 'disabled')),
    issuing text not null check (issuing in ('managed', 'delegated')),
    created_at timestamptz(3) not null,
    primary key (mesh_id, name)
  )`.execute(db)
  await sql`create table secret (
    name text primary key,
    sealed bytea not null,
    created_at timestamptz(3) not null
  )`.execute(db)
  await sql`create table lease (
    name text primary key,
    owner text,
    epoch bigint not null,
    lease_until timestamptz(3)
  )`.execute(db)
  await sql`create table replica (
    id text primary key,
    started_at timestamptz(3) not null,
    seen_at timestamptz(3) not null
  )`.execute(db)
  await sql`create table replica_bundle (
    replica_id text not null references replica on delete cascade,
    trust_domain text not null references trust_domain (name) on delete cascade,
    sequence bigint not null,
    since timestamptz(3) not null,
    primary key (replica_id, trust_domain)
  )`.execute(db)
  await sql`create table change (
    mesh_id text not null,
    topic text not null,
    revision bigint not null,
    primary key (mesh_id, topic)
  )`.execute(db)
}
