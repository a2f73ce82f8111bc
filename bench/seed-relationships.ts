import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { Client } from 'pg'
import { MESH } from './field.ts'
import { type FarmPeer } from './farm-peer.ts'

/** What relationships are seeded with. */
export interface Seeding {
  readonly url: string
  /** One JSON line a {@link FarmPeer}, in order. */
  readonly file: string
  readonly port: number
  readonly count: number
  readonly hintSeconds: number
  /** How many are due at once, within {@link WARM_SECONDS}: a process that runs for long is warm. */
  readonly warm: number
  /** When the others begin to be due, in seconds from the moment when all is written, and how many of them a second. */
  readonly firstSeconds: number
  readonly perSecond: number
}

/** Seconds within which the first polls are due. */
const WARM_SECONDS = 3

/** Relationships written by one statement. */
const CHUNK = 2000

/** Most milliseconds that writing the due times takes for each of them; by then the first ones are due. */
const DUE_MS = 0.15

/**
 * Writes active relationships with a bundle each, as if they had been polled in turn for long: adding ten thousand
 * through the API would take minutes.
 *
 * Answers with the Unix milliseconds at which each is due. Throws when writing took so long that some are late already.
 */
export async function seedRelationships(seeding: Seeding): Promise<number[]> {
  const client = new Client({ connectionString: seeding.url })
  await client.connect()
  try {
    for await (const rows of chunksOf(seeding)) {
      const values = [JSON.stringify(rows), MESH]
      for (const statement of STATEMENTS) await client.query(`${PEERS} ${statement}`, values)
    }
    await client.query('checkpoint')
    await client.query('vacuum analyze')
    const baseMs = Date.now() + 500 + seeding.count * DUE_MS
    const due = Array.from({ length: seeding.count }, (_, index) =>
      Math.round(baseMs + dueSeconds(index, seeding) * 1000),
    )
    await client.query(POLLS, [MESH, seeding.hintSeconds, due])
    await client.query('analyze poll')
    if (Date.now() > baseMs) throw new Error('writing the due times took longer than foreseen')
    return due
  } finally {
    await client.end()
  }
}

function dueSeconds(index: number, { warm, firstSeconds, perSecond }: Seeding): number {
  if (index < warm) return (index * WARM_SECONDS) / warm
  return firstSeconds + (index - warm) / perSecond
}

async function* chunksOf(seeding: Seeding): AsyncIterable<object[]> {
  let rows: object[] = []
  for await (const line of createInterface({ input: createReadStream(seeding.file) })) {
    rows.push(rowOf(JSON.parse(line) as FarmPeer, seeding))
    if (rows.length < CHUNK) continue
    yield rows
    rows = []
  }
  if (rows.length > 0) yield rows
}

function rowOf(
  { trustDomain, host, endpointId, document }: FarmPeer,
  { port, hintSeconds }: Seeding,
): object {
  return {
    id: randomUUID(),
    name: host.slice(0, host.indexOf('.')),
    trust_domain: trustDomain,
    url: `https://${host}:${port}/bundle`,
    endpoint_id: endpointId,
    document,
    digest: createHash('sha256').update(Buffer.from(document, 'base64')).digest('base64'),
    hint: hintSeconds,
  }
}

const PEERS = `with peer as (select * from json_to_recordset($1) as p(id uuid, name text, trust_domain text, url text,
  endpoint_id text, document text, digest text, hint integer))`

const STATEMENTS = [
  `insert into relationship (mesh_id, id, name, our_consent, their_consent, state, change_policy, created_at, activated_at)
   select $2, id, name, 'given', 'assumed', 'active', 'auto', now(), now() from peer`,
  `insert into relationship_domain (mesh_id, relationship_id, trust_domain, source, endpoint_url, endpoint_spiffe_id)
   select $2, id, trust_domain, 'https_spiffe', url, endpoint_id from peer`,
  `insert into peer_bundle_revision (mesh_id, relationship_id, trust_domain, n, sequence, refresh_hint_seconds,
     document, digest, received_at, verified_by, origin, disposition)
   select $2, id, trust_domain, 1, 1, hint, decode(document, 'base64'), decode(digest, 'base64'), now(), '{}', 'fetched', 'current'
   from peer`,
  `insert into bundle_forecast (mesh_id, relationship_id, trust_domain, n, distrusted, breaks_at, first_end_at, life_seconds, computed_at)
   select $2, id, trust_domain, 1, '0', now() + interval '2 days', now() + interval '2 days', 172860, now() from peer`,
]

/** The farm calls its peers p0, p1 and so on, and its ETags after them. */
const POLLS = `insert into poll (mesh_id, relationship_id, trust_domain, next_at, http_etag, interval_seconds,
    last_attempt_at, last_success_at)
  select r.mesh_id, r.id, r.name || '.example', to_timestamp(due.ms / 1000.0), '"peer-' || substr(r.name, 2) || '"', $2, now(), now()
  from unnest($3::float8[]) with ordinality as due(ms, place)
  join relationship r on r.mesh_id = $1 and r.name = 'p' || (due.place - 1)`
