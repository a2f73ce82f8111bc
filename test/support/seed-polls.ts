import { createHash, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { type Db } from '../../src/db/schema.ts'

/** A peer over https_web as if it had been federated with for long. */
export interface SeededPeer {
  readonly name: string
  readonly url: string
  /** When its next poll is due, in milliseconds from now. */
  readonly dueMs: number
  readonly intervalSeconds: number
}

/** The ETag under which peers are asked whether the seeded bundle is still the newest. */
export const SEEDED_ETAG = '"seeded"'

const DOCUMENT = Buffer.from('{"keys":[],"spiffe_sequence":1,"spiffe_refresh_hint":300}')

/** Writes active relationships whose last poll succeeded, straight into the tables: many of them in a moment. */
export async function seedPolls(
  db: Db,
  meshId: string,
  peers: readonly SeededPeer[],
): Promise<void> {
  const rows = peers.map((peer) => ({ ...peer, id: randomUUID(), domain: `${peer.name}.example` }))
  const peer = sql`with peer as (select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as p(
    id uuid, name text, domain text, url text, "dueMs" float8, "intervalSeconds" integer))`
  await sql`${peer} insert into relationship (mesh_id, id, name, our_consent, their_consent, state, change_policy,
      hint_max_seconds, created_at, activated_at)
    select ${meshId}, id, name, 'given', 'assumed', 'active', 'auto', "intervalSeconds", now(), now() from peer`.execute(
    db,
  )
  await sql`${peer} insert into relationship_domain (mesh_id, relationship_id, trust_domain, source, endpoint_url)
    select ${meshId}, id, domain, 'https_web', url from peer`.execute(db)
  await sql`${peer} insert into peer_bundle_revision (mesh_id, relationship_id, trust_domain, n, sequence,
      refresh_hint_seconds, document, digest, received_at, verified_by, origin, disposition)
    select ${meshId}, id, domain, 1, 1, 300, decode(${DOCUMENT.toString('base64')}, 'base64'),
      decode(${createHash('sha256').update(DOCUMENT).digest('base64')}, 'base64'), now(), '{}', 'fetched', 'current'
    from peer`.execute(db)
  await sql`${peer} insert into poll (mesh_id, relationship_id, trust_domain, next_at, http_etag, interval_seconds,
      last_attempt_at, last_success_at)
    select ${meshId}, id, domain, now() + "dueMs" * interval '1 ms', ${SEEDED_ETAG}, "intervalSeconds", now(), now()
    from peer`.execute(db)
}
