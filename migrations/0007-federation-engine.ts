import { type Kysely, sql } from 'kysely'

/** Consent that can be withdrawn, owner data, change policies, quarantine, peers of the same service. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table relationship
    drop constraint relationship_change_policy_check,
    add check (change_policy in ('auto', 'overlap', 'approve')),
    add column on_hold boolean not null default false,
    add column standing_reason text,
    add column contact text,
    add column labels jsonb not null default '{}',
    add column review_at timestamptz(3),
    add column expires_at timestamptz(3),
    add column their_exchange_id text,
    add column their_exchange_url text,
    add check ((their_exchange_id is null) = (their_exchange_url is null))`.execute(db)
  await sql`create index relationship_expiry on relationship (expires_at)
    where expires_at is not null and state <> 'terminated'`.execute(db)
  await sql`alter table relationship_domain
    drop constraint relationship_domain_source_check,
    drop constraint relationship_domain_check,
    drop constraint relationship_domain_check1,
    add check (source in ('https_web', 'https_spiffe', 'static', 'local')),
    add check ((source in ('static', 'local')) = (endpoint_url is null)),
    add check ((source = 'https_spiffe') = (endpoint_spiffe_id is not null)),
    add column relay_id uuid not null default gen_random_uuid(),
    add column first_digest bytea`.execute(db)
  await sql`create unique index relationship_domain_relay on relationship_domain (mesh_id, relay_id)`.execute(
    db,
  )
  await sql`create table relationship_proposal (
    mesh_id text not null,
    relationship_id uuid not null,
    id uuid not null,
    origin text not null check (origin in ('ours', 'theirs')),
    parameters jsonb not null,
    our_consent boolean not null,
    their_consent boolean not null,
    note text,
    created_at timestamptz(3) not null,
    created_by text not null,
    primary key (mesh_id, relationship_id, id),
    foreign key (mesh_id, relationship_id) references relationship (mesh_id, id) on delete cascade
  )`.execute(db)
  await sql`create unique index relationship_proposal_open
    on relationship_proposal (mesh_id, relationship_id, origin)`.execute(db)
  await sql`alter table peer_bundle_revision
    drop constraint peer_bundle_revision_origin_check,
    drop constraint peer_bundle_revision_disposition_check,
    add check (origin in ('fetched', 'manual', 'signed', 'reduced')),
    add check (disposition in ('current', 'superseded', 'removed', 'quarantined', 'rejected')),
    add column decided_at timestamptz(3),
    add column decided_by text,
    add column retired_at timestamptz(3)`.execute(db)
  await sql`create unique index peer_bundle_quarantined
    on peer_bundle_revision (mesh_id, relationship_id, trust_domain) where disposition = 'quarantined'`.execute(
    db,
  )
}
