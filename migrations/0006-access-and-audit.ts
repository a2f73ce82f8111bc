import { type Kysely, sql } from 'kysely'

/** API tokens and grants; the audit log and its signed links. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table api_token (
    id uuid primary key,
    label text not null,
    hash bytea not null unique,
    created_at timestamptz(3) not null,
    expires_at timestamptz(3),
    revoked_at timestamptz(3)
  )`.execute(db)
  await sql`create table grants (
    principal text not null,
    role text not null,
    scope_kind text not null check (scope_kind in ('everything', 'mesh')),
    scope text not null,
    created_at timestamptz(3) not null,
    primary key (principal, role, scope_kind, scope)
  )`.execute(db)
  await sql`create table audit_record (
    id bigint generated always as identity primary key,
    n bigint unique,
    at timestamptz(3) not null,
    mesh_id text,
    actor text not null,
    action text not null,
    object text not null,
    body bytea not null,
    hash bytea
  )`.execute(db)
  await sql`create index audit_record_open on audit_record (id) where n is null`.execute(db)
  await sql`create index audit_record_mesh on audit_record (mesh_id, n)`.execute(db)
  await sql`create table audit_link (
    upto_n bigint primary key,
    hash bytea not null,
    signature bytea not null,
    at timestamptz(3) not null
  )`.execute(db)
}
