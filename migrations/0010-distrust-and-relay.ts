import { type Kysely, sql } from 'kysely'

/** Foreign keys that a mesh no longer trusts anywhere, and peers' bundles as our own control planes read them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table distrusted_key (
    mesh_id text not null references mesh on delete cascade,
    id uuid not null,
    public_key_sha256 bytea not null check (octet_length(public_key_sha256) = 32),
    note text,
    since timestamptz(3) not null,
    by text not null,
    lifted_at timestamptz(3),
    lifted_by text,
    primary key (mesh_id, id),
    check ((lifted_at is null) = (lifted_by is null))
  )`.execute(db)
  await sql`create unique index distrusted_key_standing
    on distrusted_key (mesh_id, public_key_sha256) where lifted_at is null`.execute(db)
  await sql`create table relay_bundle (
    mesh_id text not null,
    relay_id uuid not null,
    trust_domain text not null,
    sequence bigint not null,
    hint_seconds integer not null,
    document bytea not null,
    digest bytea not null,
    changed_at timestamptz(3) not null,
    fetches bigint not null default 0,
    last_at timestamptz(3),
    last_sequence bigint,
    primary key (mesh_id, relay_id),
    foreign key (mesh_id, relay_id) references relationship_domain (mesh_id, relay_id) on delete cascade
  )`.execute(db)
}
