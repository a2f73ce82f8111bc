import { type Kysely, sql } from 'kysely'

/** Invites that we made, and those of others that we accepted. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table invite (
    mesh_id text not null references mesh on delete cascade,
    id uuid not null,
    secret_hash bytea not null unique check (octet_length(secret_hash) = 32),
    name text,
    expected_trust_domain text,
    expected_fingerprint text,
    offered jsonb not null,
    readers jsonb not null,
    created_at timestamptz(3) not null,
    created_by text not null,
    expires_at timestamptz(3) not null,
    cancelled_at timestamptz(3),
    used_at timestamptz(3),
    used_by text,
    request_digest bytea,
    answer jsonb,
    relationship_id uuid,
    refused_at timestamptz(3),
    refusal text,
    refusal_next text,
    primary key (mesh_id, id),
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id)
      on delete set null (relationship_id),
    check (expected_fingerprint is null or expected_trust_domain is not null),
    check (used_at is null or cancelled_at is null),
    check ((used_at is null) = (request_digest is null)),
    check ((used_at is null) = (answer is null))
  )`.execute(db)
  await sql`create index invite_expiry on invite (expires_at)`.execute(db)
  await sql`create table invite_acceptance (
    mesh_id text not null,
    secret_hash bytea not null check (octet_length(secret_hash) = 32),
    relationship_id uuid not null,
    handshake text not null,
    readers jsonb not null,
    expires_at timestamptz(3) not null,
    primary key (mesh_id, secret_hash),
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id) on delete cascade
  )`.execute(db)
  await sql`create index invite_acceptance_expiry on invite_acceptance (expires_at)`.execute(db)
}
