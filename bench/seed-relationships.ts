import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
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
  /** How many are polled once beforehand: a process that runs for long is warm, and has read its peers' authorities. */
  readonly warm: number
}

/** Polls a second while a process is warmed up. */
const WARM_PER_SECOND = 150

/** Until all others are due that are not watched. */
const LATER_MS = 3_600_000

/** Longest wait for those polled beforehand, beyond the time that they are due in. */
const MOST_WARM_SECONDS = 60

/** Relationships written by one statement. */
const CHUNK = 2000

/** Most milliseconds that writing the due times takes for each of them; by then the first ones are due. */
const DUE_MS = 0.15

/**
 * Writes active relationships with a bundle each, as if they had been polled in turn for long: adding ten thousand
 * through the API would take minutes.
 *
 * The first of them are polled at once, and it returns when they have been. Throws when that takes too long.
 */
export async function seedRelationships(seeding: Seeding): Promise<void> {
  const { count, warm, hintSeconds } = seeding
  const client = new Client({ connectionString: seeding.url })
  await client.connect()
  try {
    for await (const rows of chunksOf(seeding)) {
      const values = [JSON.stringify(rows), MESH]
      for (const statement of STATEMENTS) await client.query(`${PEERS} ${statement}`, values)
    }
    await client.query('checkpoint')
    await client.query('vacuum analyze')
    const beginMs = Date.now()
    const due = Array.from({ length: count }, (_, index) =>
      index < warm ? beginMs + (index * 1000) / WARM_PER_SECOND : beginMs + LATER_MS,
    )
    await client.query(POLLS, [MESH, hintSeconds, due])
    await client.query('analyze poll')
    await waitUntilPolled(client, warm)
  } finally {
    await client.end()
  }
}

async function waitUntilPolled(client: Client, warm: number): Promise<void> {
  const lastMs = Date.now() + (warm / WARM_PER_SECOND + MOST_WARM_SECONDS) * 1000
  while (Date.now() < lastMs) {
    await delay(500)
    const { rows } = await client.query<{ left: bigint | string }>(LEFT, [MESH])
    if (Number(rows[0]?.left) === 0) return
  }
  throw new Error(`${warm} polls beforehand took too long`)
}

/**
 * Has the first peers due one after the other, so many a second; answers with the Unix milliseconds at which each is.
 */
export async function beginSchedule(
  url: string,
  { peers, perSecond }: { readonly peers: number; readonly perSecond: number },
): Promise<readonly number[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const firstMs = Date.now() + 500 + peers * DUE_MS
    const due = Array.from({ length: peers }, (_, index) => firstMs + (index * 1000) / perSecond)
    await client.query(AGAIN, [MESH, due])
    if (Date.now() > firstMs) throw new Error('writing the due times took longer than foreseen')
    return due
  } finally {
    await client.end()
  }
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

const AGAIN = `update poll p set next_at = to_timestamp(due.ms / 1000.0)
  from unnest($2::float8[]) with ordinality as due(ms, place)
  where p.mesh_id = $1 and p.trust_domain = 'p' || (due.place - 1) || '.example'`

/** Polls that are still to be made before those of an hour later; the last of them may be due in a moment. */
const LEFT = `select count(*) as left from poll
  where mesh_id = $1 and (owner is not null or next_at < now() + interval '1 minute')`
