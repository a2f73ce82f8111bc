import { type Kysely, sql } from 'kysely'

/** Calls between services: what a peer told us, tokens that were used, notices to send; hosts that a mesh left. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create unique index relationship_exchange
    on relationship (mesh_id, their_exchange_id)
    where their_exchange_id is not null and state <> 'terminated'`.execute(db)
  await sql`create table peer_exchange (
    mesh_id text not null,
    relationship_id uuid not null,
    next_at timestamptz(3) not null,
    owner text,
    epoch bigint not null default 0,
    lease_until timestamptz(3),
    failures integer not null default 0,
    asked_at timestamptz(3),
    answered_at timestamptz(3),
    last_error text,
    told jsonb,
    noticed_at timestamptz(3),
    hinted_at timestamptz(3),
    early_at timestamptz(3),
    notified_at timestamptz(3),
    primary key (mesh_id, relationship_id),
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id) on delete cascade
  )`.execute(db)
  await sql`create index peer_exchange_due on peer_exchange (next_at)`.execute(db)
  await sql`create table peer_call_jti (
    mesh_id text not null,
    relationship_id uuid not null,
    jti text not null check (length(jti) between 16 and 128),
    expires_at timestamptz(3) not null,
    primary key (mesh_id, relationship_id, jti),
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id) on delete cascade
  )`.execute(db)
  await sql`create index peer_call_jti_end on peer_call_jti (expires_at)`.execute(db)
  await sql`create table peer_notice (
    mesh_id text not null,
    relationship_id uuid not null,
    kind text not null check (kind in ('bundle', 'relationship', 'proposal', 'termination')),
    trust_domain text not null,
    sequence bigint,
    reason text,
    endpoint jsonb,
    created_at timestamptz(3) not null,
    attempts integer not null default 0,
    next_at timestamptz(3) not null,
    owner text,
    epoch bigint not null default 0,
    lease_until timestamptz(3),
    last_error text,
    primary key (mesh_id, relationship_id, kind, trust_domain),
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id) on delete cascade
  )`.execute(db)
  await sql`create index peer_notice_due on peer_notice (next_at)`.execute(db)
  await sql`create table announced_bundle (
    mesh_id text not null,
    trust_domain text not null,
    sequence bigint not null,
    primary key (mesh_id, trust_domain),
    foreign key (mesh_id, trust_domain) references trust_domain (mesh_id, name) on delete cascade
  )`.execute(db)
  await sql`alter table reader add column last_host text`.execute(db)
  await sql`alter table trust_domain add column base_url text`.execute(db)
  await sql`create table bundle_host_alias (
    mesh_id text not null,
    trust_domain text not null,
    host text not null unique,
    base_url text not null,
    since timestamptz(3) not null,
    last_fetch_at timestamptz(3),
    primary key (mesh_id, trust_domain, host),
    foreign key (mesh_id, trust_domain) references trust_domain (mesh_id, name) on delete cascade
  )`.execute(db)
}
