import { type Kysely, sql } from 'kysely'

/** Signing keys, our published bundles and who reads them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table authority (
    mesh_id text not null,
    id uuid not null,
    trust_domain text not null,
    kind text not null check (kind in ('x509_root', 'x509_intermediate', 'jwt')),
    cluster text,
    parent_id uuid,
    state text not null
      check (state in ('prepared', 'active', 'retired', 'removed', 'tainted', 'revoked')),
    not_before timestamptz(0) not null,
    not_after timestamptz(0) not null,
    certificate bytea,
    public_key bytea not null,
    key_id text not null,
    sealed_key bytea,
    prepared_at timestamptz(3) not null,
    published_sequence bigint,
    published_at timestamptz(3),
    activated_at timestamptz(3),
    retired_at timestamptz(3),
    remove_at timestamptz(3),
    removed_at timestamptz(3),
    forced boolean not null default false,
    endpoint_only boolean not null default false,
    primary key (mesh_id, id),
    foreign key (mesh_id, trust_domain) references trust_domain (mesh_id, name) on delete cascade,
    foreign key (mesh_id, cluster) references cluster (mesh_id, name) on delete cascade,
    foreign key (mesh_id, parent_id) references authority (mesh_id, id) on delete cascade,
    check ((kind = 'jwt') = (certificate is null)),
    check ((kind = 'x509_intermediate') = (parent_id is not null))
  )`.execute(db)
  await sql`create unique index authority_one_active
    on authority (mesh_id, trust_domain, kind, coalesce(cluster, '')) where state = 'active'`.execute(
    db,
  )
  await sql`create unique index authority_one_prepared
    on authority (mesh_id, trust_domain, kind, coalesce(cluster, '')) where state = 'prepared'`.execute(
    db,
  )
  await sql`create unique index authority_key on authority (key_id)`.execute(db)
  await sql`create table bundle_revision (
    mesh_id text not null,
    trust_domain text not null,
    sequence bigint not null,
    document bytea not null,
    digest bytea not null,
    hint_seconds integer not null,
    cause text not null,
    created_at timestamptz(3) not null,
    primary key (mesh_id, trust_domain, sequence),
    foreign key (mesh_id, trust_domain) references trust_domain (mesh_id, name) on delete cascade
  )`.execute(db)
  await sql`create table reader (
    mesh_id text not null,
    trust_domain text not null,
    id uuid not null,
    label text not null,
    kind text not null check (kind in ('relationship', 'manual')),
    relationship_id uuid,
    first_at timestamptz(3),
    last_at timestamptz(3),
    fetches bigint not null default 0,
    sequence bigint,
    created_at timestamptz(3) not null,
    primary key (mesh_id, trust_domain, id),
    foreign key (mesh_id, trust_domain) references trust_domain (mesh_id, name) on delete cascade
  )`.execute(db)
}
