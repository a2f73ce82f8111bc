import { type Kysely, sql } from 'kysely'

/** Services, what peers offer, and the rules about both. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table service (
    mesh_id text not null references mesh on delete cascade,
    namespace text not null,
    name text not null,
    ports jsonb not null,
    version bigint not null default 1,
    created_at timestamptz(3) not null,
    primary key (mesh_id, namespace, name)
  )`.execute(db)
  await sql`create table service_identity (
    mesh_id text not null,
    namespace text not null,
    name text not null,
    spiffe_id text not null,
    primary key (mesh_id, namespace, name, spiffe_id),
    foreign key (mesh_id, namespace, name) references service on delete cascade
  )`.execute(db)
  await sql`create table offer (
    mesh_id text not null,
    relationship_id uuid not null,
    namespace text not null,
    name text not null,
    ports jsonb not null,
    server_ids jsonb not null,
    source text not null check (source in ('manual', 'exchange')),
    created_at timestamptz(3) not null,
    primary key (mesh_id, relationship_id, namespace, name),
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id) on delete cascade
  )`.execute(db)
  await sql`create table rule (
    mesh_id text not null references mesh on delete cascade,
    id uuid not null,
    direction text not null check (direction in ('export', 'import')),
    effect text not null check (effect in ('allow', 'deny')),
    subject jsonb not null,
    audience text not null check (audience in ('all', 'self', 'peers')),
    callers jsonb,
    priority integer not null default 0,
    expires_at timestamptz(3),
    note text,
    version bigint not null default 1,
    created_at timestamptz(3) not null,
    primary key (mesh_id, id)
  )`.execute(db)
  await sql`create table rule_peer (
    mesh_id text not null,
    rule_id uuid not null,
    relationship_id uuid not null,
    primary key (mesh_id, rule_id, relationship_id),
    foreign key (mesh_id, rule_id) references rule (mesh_id, id) on delete cascade,
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id) on delete cascade
  )`.execute(db)
}
