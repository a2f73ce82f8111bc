import { type Kysely, sql } from 'kysely'

/** Relationships with peer meshes, their polls and every bundle that was accepted. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table relationship (
    mesh_id text not null references mesh on delete cascade,
    id uuid not null,
    name text not null,
    generation bigint not null default 1,
    peer_mesh_name text,
    our_consent text not null check (our_consent in ('given', 'pending', 'withdrawn')),
    their_consent text not null check (their_consent in ('given', 'assumed', 'pending', 'withdrawn')),
    state text not null check (state in ('pending', 'active', 'suspended', 'terminated')),
    change_policy text not null check (change_policy in ('auto')),
    hint_min_seconds integer,
    hint_max_seconds integer,
    note text,
    version bigint not null default 1,
    created_at timestamptz(3) not null,
    activated_at timestamptz(3),
    terminated_at timestamptz(3),
    primary key (mesh_id, id),
    unique (mesh_id, name)
  )`.execute(db)
  await sql`create table relationship_domain (
    mesh_id text not null,
    relationship_id uuid not null,
    trust_domain text not null check (trust_domain ~ '^[a-z0-9._-]{1,255}$'),
    source text not null check (source in ('https_web', 'https_spiffe', 'static')),
    endpoint_url text,
    endpoint_spiffe_id text,
    reader_id uuid,
    primary key (mesh_id, relationship_id, trust_domain),
    unique (mesh_id, trust_domain),
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id) on delete cascade,
    check ((source = 'static') = (endpoint_url is null)),
    check ((source = 'https_spiffe') = (endpoint_spiffe_id is not null))
  )`.execute(db)
  await sql`create table poll (
    mesh_id text not null,
    relationship_id uuid not null,
    trust_domain text not null,
    next_at timestamptz(3) not null,
    owner text,
    epoch bigint not null default 0,
    lease_until timestamptz(3),
    failures integer not null default 0,
    http_etag text,
    health text not null default 'ok',
    health_reason text,
    last_attempt_at timestamptz(3),
    last_success_at timestamptz(3),
    last_error text,
    interval_seconds integer not null default 300,
    primary key (mesh_id, relationship_id, trust_domain),
    foreign key (mesh_id, relationship_id, trust_domain)
      references relationship_domain (mesh_id, relationship_id, trust_domain) on delete cascade
  )`.execute(db)
  await sql`create index poll_due on poll (next_at)`.execute(db)
  await sql`create table peer_bundle_revision (
    mesh_id text not null,
    relationship_id uuid not null,
    trust_domain text not null,
    n bigint not null,
    sequence numeric(20, 0),
    refresh_hint_seconds integer,
    document bytea not null,
    digest bytea not null,
    received_at timestamptz(3) not null,
    verified_by jsonb not null,
    origin text not null check (origin in ('fetched', 'manual')),
    disposition text not null check (disposition in ('current', 'superseded', 'removed')),
    reason text,
    primary key (mesh_id, relationship_id, trust_domain, n),
    foreign key (mesh_id, relationship_id, trust_domain)
      references relationship_domain (mesh_id, relationship_id, trust_domain) on delete cascade
  )`.execute(db)
  await sql`create unique index peer_bundle_current
    on peer_bundle_revision (mesh_id, relationship_id, trust_domain) where disposition = 'current'`.execute(
    db,
  )
  await sql`create table egress_rule (
    id uuid primary key,
    destination text not null,
    port integer check (port between 1 and 65535),
    mesh_id text references mesh on delete cascade,
    note text,
    created_at timestamptz(3) not null
  )`.execute(db)
}
