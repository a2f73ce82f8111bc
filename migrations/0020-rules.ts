import { type Kysely, sql } from 'kysely'

/**
 * Rules in full, and the log of what decisions depend on, so that the next snapshot is built from the last.
 *
 * Meshes that exist keep presenting all their identities, by a rule like any other; new ones have no such rule.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table rule
    add column name text,
    add column clusters jsonb,
    add column as_namespace text,
    add column as_name text,
    add column visible_to jsonb,
    add column owner_scope jsonb`.execute(db)
  await sql`create unique index rule_name on rule (mesh_id, name, coalesce(owner_scope::text, ''))
    where name is not null`.execute(db)
  await sql`create table rule_group (
    mesh_id text not null,
    rule_id uuid not null,
    group_name text not null,
    primary key (mesh_id, rule_id, group_name),
    foreign key (mesh_id, rule_id) references rule (mesh_id, id) on delete cascade,
    foreign key (mesh_id, group_name) references peer_group (mesh_id, name) on delete cascade
  )`.execute(db)
  await sql`create index rule_group_of on rule_group (mesh_id, group_name)`.execute(db)
  await sql`create table policy_change (
    mesh_id text not null,
    revision bigint not null,
    kind text not null,
    key text not null,
    at timestamptz(3) not null default now(),
    primary key (mesh_id, revision, kind, key)
  )`.execute(db)
  await sql`create index policy_change_at on policy_change (at)`.execute(db)
  await sql`insert into rule
    (mesh_id, id, direction, effect, subject, audience, priority, note, created_at)
    select mesh_id, gen_random_uuid(), 'export', 'allow', '{"identity": "*"}', 'all', 0,
      'from before rules spoke of identities; replace it by rules for those that peers are to meet',
      date_trunc('milliseconds', now())
    from mesh`.execute(db)
}
