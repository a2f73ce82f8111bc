import { createHash, randomUUID } from 'node:crypto'
import { Client } from 'pg'
import { MESH } from './field.ts'
import { type FarmPeer } from './farm-peer.ts'

/** What relationships are seeded with. */
export interface Seeding {
  readonly url: string
  readonly port: number
  readonly hintSeconds: number
  /** How many are due at once, within {@link WARM_SECONDS}: a process that runs for long is warm. */
  readonly warm: number
  /** When the others begin to be due, in seconds from now, and how many of them a second. */
  readonly firstSeconds: number
  readonly perSecond: number
}

/** Seconds within which the first polls are due. */
const WARM_SECONDS = 3

/**
 * Writes active relationships with a bundle each, as if they had been polled in turn for long: adding ten thousand
 * through the API would take minutes.
 *
 * Answers with the Unix milliseconds at which each is due.
 */
export async function seedRelationships(
  peers: readonly FarmPeer[],
  seeding: Seeding,
): Promise<number[]> {
  const client = new Client({ connectionString: seeding.url })
  await client.connect()
  try {
    const now = Date.now()
    const due = peers.map((_, index) => Math.round(now + dueSeconds(index, seeding) * 1000))
    const rows = peers.map((peer, index) => rowOf(peer, { seeding, index, dueMs: due[index] ?? 0 }))
    const values = [JSON.stringify(rows), MESH]
    for (const statement of STATEMENTS) await client.query(`${PEERS} ${statement}`, values)
    await client.query('analyze')
    return due
  } finally {
    await client.end()
  }
}

function dueSeconds(index: number, { warm, firstSeconds, perSecond }: Seeding): number {
  if (index < warm) return (index * WARM_SECONDS) / warm
  return firstSeconds + (index - warm) / perSecond
}

function rowOf(
  { trustDomain, host, endpointId, document, etag }: FarmPeer,
  {
    seeding,
    index,
    dueMs,
  }: { readonly seeding: Seeding; readonly index: number; readonly dueMs: number },
): object {
  return {
    id: randomUUID(),
    name: `p${index}`,
    trust_domain: trustDomain,
    url: `https://${host}:${seeding.port}/bundle`,
    endpoint_id: endpointId,
    document,
    digest: createHash('sha256').update(Buffer.from(document, 'base64')).digest('base64'),
    hint: seeding.hintSeconds,
    etag,
    next_at: new Date(dueMs).toISOString(),
  }
}

const PEERS = `with peer as (select * from json_to_recordset($1) as p(id uuid, name text, trust_domain text, url text,
  endpoint_id text, document text, digest text, hint integer, etag text, next_at timestamptz))`

const STATEMENTS = [
  `insert into relationship (mesh_id, id, name, our_consent, their_consent, state, change_policy, created_at, activated_at)
   select $2, id, name, 'given', 'assumed', 'active', 'auto', now(), now() from peer`,
  `insert into relationship_domain (mesh_id, relationship_id, trust_domain, source, endpoint_url, endpoint_spiffe_id)
   select $2, id, trust_domain, 'https_spiffe', url, endpoint_id from peer`,
  `insert into poll (mesh_id, relationship_id, trust_domain, next_at, http_etag, interval_seconds, last_attempt_at, last_success_at)
   select $2, id, trust_domain, next_at, etag, hint, now(), now() from peer`,
  `insert into peer_bundle_revision (mesh_id, relationship_id, trust_domain, n, sequence, refresh_hint_seconds,
     document, digest, received_at, verified_by, origin, disposition)
   select $2, id, trust_domain, 1, 1, hint, decode(document, 'base64'), decode(digest, 'base64'), now(), '{}', 'fetched', 'current'
   from peer`,
]
