import { type Kysely, sql } from 'kysely'

/** Answers kept for a repeated POST, groups of peers, and who applied what from a file. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table idempotency_key (
    principal text not null,
    method text not null,
    route text not null,
    key text not null,
    fingerprint bytea not null,
    claim uuid not null,
    claimed_at timestamptz(3) not null,
    status integer,
    headers jsonb,
    body text,
    secret_of text,
    primary key (principal, method, route, key)
  )`.execute(db)
  await sql`create index idempotency_key_claimed on idempotency_key (claimed_at)`.execute(db)
  await sql`create table peer_group (
    mesh_id text not null references mesh on delete cascade,
    name text not null,
    note text,
    version bigint not null default 1,
    created_at timestamptz(3) not null,
    primary key (mesh_id, name)
  )`.execute(db)
  await sql`create table peer_group_member (
    mesh_id text not null,
    group_name text not null,
    rank integer not null,
    relationship_id uuid,
    primary key (mesh_id, group_name, rank),
    unique nulls not distinct (mesh_id, group_name, relationship_id),
    foreign key (mesh_id, group_name) references peer_group (mesh_id, name) on delete cascade,
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id) on delete cascade
  )`.execute(db)
  await sql`create index peer_group_member_relationship
    on peer_group_member (mesh_id, relationship_id)`.execute(db)
  await sql`create table applied_object (
    mesh_id text not null references mesh on delete cascade,
    kind text not null,
    name text not null,
    object_id text not null,
    owner text not null,
    digest bytea not null,
    applied_at timestamptz(3) not null,
    primary key (mesh_id, kind, name)
  )`.execute(db)
  await sql`create index applied_object_owner on applied_object (mesh_id, owner)`.execute(db)
}
