import { type Kysely, sql } from 'kysely'

/** Alerts, the forecast they are raised from, webhooks that tell of them, and the sources of readers. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table alert (
    nr bigint generated always as identity primary key,
    mesh_id text references mesh on delete cascade,
    relationship_id uuid,
    code text not null,
    object text not null,
    replica text,
    severity text not null check (severity in ('info', 'warning', 'critical')),
    message text not null,
    raised_at timestamptz(3) not null,
    last_seen_at timestamptz(3) not null,
    missing_since timestamptz(3),
    cleared_at timestamptz(3)
  )`.execute(db)
  await sql`create unique index alert_open
    on alert (coalesce(mesh_id, ''), code, object, coalesce(replica, '')) where cleared_at is null`.execute(
    db,
  )
  await sql`create index alert_of_mesh on alert (mesh_id, nr)`.execute(db)
  await sql`create index alert_cleared on alert (cleared_at) where cleared_at is not null`.execute(
    db,
  )
  await sql`create table bundle_forecast (
    mesh_id text not null,
    relationship_id uuid not null,
    trust_domain text not null,
    n bigint not null,
    distrusted text not null,
    breaks_at timestamptz(3),
    first_end_at timestamptz(3),
    life_seconds bigint,
    computed_at timestamptz(3) not null,
    primary key (mesh_id, relationship_id, trust_domain),
    foreign key (mesh_id, relationship_id, trust_domain)
      references relationship_domain (mesh_id, relationship_id, trust_domain) on delete cascade
  )`.execute(db)
  await sql`create index bundle_forecast_breaks on bundle_forecast (breaks_at)`.execute(db)
  await sql`create table webhook (
    id uuid primary key,
    mesh_id text references mesh on delete cascade,
    name text not null,
    url text not null,
    min_severity text not null check (min_severity in ('info', 'warning', 'critical')),
    codes jsonb,
    note text,
    sealed_secret bytea not null,
    owner text,
    epoch bigint not null default 0,
    lease_until timestamptz(3),
    created_at timestamptz(3) not null
  )`.execute(db)
  await sql`create unique index webhook_name on webhook (coalesce(mesh_id, ''), name)`.execute(db)
  await sql`create table webhook_delivery (
    id uuid primary key,
    nr bigint generated always as identity,
    webhook_id uuid not null references webhook on delete cascade,
    event text not null,
    body text not null,
    state text not null check (state in ('pending', 'delivered', 'dead')),
    attempts integer not null default 0,
    next_at timestamptz(3) not null,
    last_attempt_at timestamptz(3),
    last_status integer,
    last_error text,
    created_at timestamptz(3) not null,
    ended_at timestamptz(3)
  )`.execute(db)
  await sql`create index webhook_delivery_due on webhook_delivery (webhook_id, next_at)
    where state = 'pending'`.execute(db)
  await sql`create index webhook_delivery_list on webhook_delivery (webhook_id, nr)`.execute(db)
  await sql`alter table poll add column last_error_code text`.execute(db)
  await sql`create index peer_bundle_revision_received on peer_bundle_revision (received_at)`.execute(
    db,
  )
  await sql`alter table reader add column sources jsonb not null default '[]'`.execute(db)
}
