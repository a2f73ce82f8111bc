import { type Kysely, sql } from 'kysely'

/** Who may have which identity, join tokens, and every SVID that was issued. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table entry (
    mesh_id text not null,
    id uuid not null,
    trust_domain text not null,
    spiffe_id text not null,
    x509_ttl_seconds integer not null,
    jwt_ttl_seconds integer not null,
    dns_names jsonb not null,
    federates_with jsonb not null,
    hint text,
    expires_at timestamptz(3),
    version bigint not null default 1,
    created_at timestamptz(3) not null,
    primary key (mesh_id, id),
    unique (mesh_id, spiffe_id),
    foreign key (mesh_id, trust_domain) references trust_domain (mesh_id, name) on delete cascade
  )`.execute(db)
  await sql`create table join_token (
    mesh_id text not null,
    id uuid not null,
    entry_id uuid not null,
    hash bytea not null,
    expires_at timestamptz(3) not null,
    used_at timestamptz(3),
    created_at timestamptz(3) not null,
    primary key (mesh_id, id),
    unique (mesh_id, hash),
    foreign key (mesh_id, entry_id) references entry (mesh_id, id) on delete cascade
  )`.execute(db)
  await sql`create table svid_issued (
    end_day date not null,
    mesh_id text not null,
    trust_domain text not null,
    kind text not null check (kind in ('x509', 'jwt')),
    serial text not null,
    spiffe_id text not null,
    entry_id uuid not null,
    public_key_sha256 bytea,
    authority_id uuid not null,
    not_after timestamptz(0) not null,
    first_attested_at timestamptz(3) not null,
    bundle_sequence bigint not null,
    refresh_at timestamptz(3) not null,
    issued_at timestamptz(3) not null,
    primary key (end_day, mesh_id, kind, serial)
  ) partition by list (end_day)`.execute(db)
  await sql`create index svid_issued_authority on svid_issued (mesh_id, authority_id, not_after)`.execute(
    db,
  )
  await sql`create index svid_issued_refresh
    on svid_issued (mesh_id, trust_domain, refresh_at, bundle_sequence)`.execute(db)
  await sql`create table svid_issued_default partition of svid_issued default`.execute(db)
}
