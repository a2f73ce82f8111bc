import { type Kysely, sql } from 'kysely'

/** Grants for parts of a mesh; quotas and usage of meshes and namespaces. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await grants(db)
  await sql`create table quota (
    mesh_id text not null references mesh on delete cascade,
    namespace text not null,
    kind text not null,
    max integer not null check (max >= 0),
    changed_at timestamptz(3) not null,
    primary key (mesh_id, namespace, kind)
  )`.execute(db)
  await sql`create table svid_usage (
    mesh_id text not null references mesh on delete cascade,
    day text not null,
    namespace text not null,
    issued bigint not null,
    primary key (mesh_id, day, namespace)
  )`.execute(db)
}

/** What a platform-admin of one mesh might do, its mesh-admin may. */
async function grants(db: Kysely<unknown>): Promise<void> {
  await sql`alter table grants
    add column id uuid not null default gen_random_uuid(),
    add column mesh_id text references mesh on delete cascade,
    add column names jsonb`.execute(db)
  await sql`delete from grants where scope_kind = 'mesh'
    and not exists (select 1 from mesh where mesh_id = grants.scope)`.execute(db)
  await sql`update grants set mesh_id = scope, role = 'mesh-admin'
    where scope_kind = 'mesh'`.execute(db)
  await sql`alter table grants
    drop constraint grants_pkey,
    drop constraint grants_scope_kind_check,
    drop column scope,
    alter column id drop default,
    add primary key (id),
    add check (scope_kind in ('everything', 'mesh', 'clusters', 'namespaces')),
    add check ((scope_kind = 'everything') = (mesh_id is null)),
    add check ((scope_kind in ('clusters', 'namespaces')) = (names is not null)),
    add check (role <> 'platform-admin' or scope_kind = 'everything')`.execute(db)
  await sql`create unique index grants_once on grants (
    principal, role, scope_kind, coalesce(mesh_id, ''), coalesce(names, '[]')
  )`.execute(db)
  await sql`create index grants_principal on grants (principal)`.execute(db)
  await sql`create index grants_mesh on grants (mesh_id)`.execute(db)
}
