import { type Kysely, sql } from 'kysely'

/** Whom a mesh trusted at any moment: standing of relationships and spans of trust, which outlive both. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table relationship_standing (
    mesh_id text not null references mesh on delete cascade,
    relationship_id uuid not null,
    n bigint not null,
    name text not null,
    event text not null,
    state text not null check (state in ('pending', 'active', 'suspended', 'terminated')),
    our_consent text not null,
    their_consent text not null,
    at timestamptz(3) not null,
    actor text not null,
    reason text,
    primary key (mesh_id, relationship_id, n)
  )`.execute(db)
  await sql`create table trust_span (
    mesh_id text not null references mesh on delete cascade,
    id uuid not null,
    relationship_id uuid not null,
    relationship text not null,
    trust_domain text not null,
    kind text not null check (kind in ('x509', 'jwt', 'local')),
    public_key_sha256 bytea check (octet_length(public_key_sha256) = 32),
    certificate_sha256 bytea check (octet_length(certificate_sha256) = 32),
    subject text,
    kid text,
    not_before timestamptz(3),
    not_after timestamptz(3),
    revision_n bigint,
    sequence numeric(20, 0),
    digest bytea,
    origin text,
    verified_by jsonb,
    approved_by text,
    from_at timestamptz(3) not null,
    from_event text not null,
    from_actor text not null,
    until_at timestamptz(3),
    until_event text,
    until_actor text,
    primary key (mesh_id, id),
    check ((kind = 'local') = (public_key_sha256 is null)),
    check ((kind = 'x509') = (certificate_sha256 is not null)),
    check (until_at >= from_at),
    check ((until_at is null) = (until_event is null))
  )`.execute(db)
  await sql`create index trust_span_open on trust_span (mesh_id, relationship_id)
    where until_at is null`.execute(db)
  await sql`create index trust_span_domain on trust_span (mesh_id, trust_domain, id)`.execute(db)
  await sql`create index trust_span_ended on trust_span (until_at) where until_at is not null`.execute(
    db,
  )
  await sql`create table trust_history (
    mesh_id text primary key references mesh on delete cascade,
    complete_since timestamptz(3) not null
  )`.execute(db)
  await sql`insert into trust_history (mesh_id, complete_since)
    select mesh_id, now() from mesh`.execute(db)
  await sql`insert into relationship_standing
      (mesh_id, relationship_id, n, name, event, state, our_consent, their_consent, at, actor)
    select mesh_id, id, 1, name, 'create', state, our_consent, their_consent, created_at, 'unknown'
    from relationship`.execute(db)
}
