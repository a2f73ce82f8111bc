import { type Kysely, sql } from 'kysely'

/** Trust domains that another system signs for: where they are read from, and what is published of them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table trust_domain add column observed_from text`.execute(db)
  await sql`alter table relationship
    add column purpose text not null default 'peer' check (purpose in ('peer', 'source'))`.execute(
    db,
  )
  await sql`create table observed_bundle (
    mesh_id text not null,
    trust_domain text not null,
    document bytea not null,
    changed_at timestamptz(3) not null,
    primary key (mesh_id, trust_domain),
    foreign key (mesh_id, trust_domain) references trust_domain (mesh_id, name) on delete cascade
  )`.execute(db)
}
