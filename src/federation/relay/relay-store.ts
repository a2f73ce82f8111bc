import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type RelayBundleTable } from '../../db/schema-distrust.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** A peer's bundle as our own control planes are given it. */
export interface RelayedBundle {
  readonly meshId: MeshId
  readonly relayId: string
  /** The peer's. */
  readonly trustDomain: TrustDomain
  readonly sequence: bigint
  readonly hintSeconds: number
  readonly document: Uint8Array
  /** SHA-256 of the content without the sequence. */
  readonly digest: Uint8Array
  readonly changedAt: Date
}

/** Who fetched a relayed bundle: how often, when last, and the newest sequence that certainly arrived. */
export interface RelayActivity {
  readonly relayId: string
  readonly sequence: bigint
  readonly fetches: bigint
  readonly lastAt: Date | undefined
  readonly lastSequence: bigint | undefined
}

const RELAY = [
  'mesh_id',
  'relay_id',
  'trust_domain',
  'sequence',
  'hint_seconds',
  'document',
  'digest',
  'changed_at',
] as const

/** Makes replicas that work out the same relay take turns; answers whether there is such a relay. */
export async function lockRelay(trx: Db, meshId: MeshId, relayId: string): Promise<boolean> {
  const row = await trx
    .selectFrom('relationship_domain')
    .select('relay_id')
    .where('mesh_id', '=', meshId)
    .where('relay_id', '=', relayId)
    .forNoKeyUpdate()
    .executeTakeFirst()
  return row !== undefined
}

/** What a relay handed out last. */
export async function findRelayed(
  db: Db,
  meshId: MeshId,
  relayId: string,
): Promise<RelayedBundle | undefined> {
  const row = await db
    .selectFrom('relay_bundle')
    .select(RELAY)
    .where('mesh_id', '=', meshId)
    .where('relay_id', '=', relayId)
    .executeTakeFirst()
  return row === undefined ? undefined : relayedOf(row)
}

/** Stores what a relay hands out from now on. */
export async function saveRelayed(trx: Db, relayed: RelayedBundle): Promise<void> {
  const content = {
    sequence: relayed.sequence,
    hint_seconds: relayed.hintSeconds,
    document: relayed.document,
    digest: relayed.digest,
    changed_at: relayed.changedAt,
  }
  await trx
    .insertInto('relay_bundle')
    .values({
      mesh_id: relayed.meshId,
      relay_id: relayed.relayId,
      trust_domain: relayed.trustDomain,
      ...content,
      last_at: null,
      last_sequence: null,
    })
    .onConflict((conflict) => conflict.columns(['mesh_id', 'relay_id']).doUpdateSet(content))
    .execute()
}

/** What one relay handed out since it was last written down. */
export interface RelayAccesses {
  readonly meshId: MeshId
  readonly relayId: string
  readonly count: number
  readonly sequence: bigint
  readonly lastAt: Date
}

/** Adds fetches to their relays, in one statement; relays that are gone are left out. */
export async function addRelayAccesses(db: Db, accesses: readonly RelayAccesses[]): Promise<void> {
  const rows = JSON.stringify(
    accesses.map((one) => ({
      mesh_id: one.meshId,
      relay_id: one.relayId,
      count: one.count,
      sequence: one.sequence.toString(),
      last_at: one.lastAt.toISOString(),
    })),
  )
  await sql`
    update relay_bundle as b set
      fetches = b.fetches + v.count,
      last_at = greatest(b.last_at, v.last_at),
      last_sequence = greatest(b.last_sequence, v.sequence)
    from jsonb_to_recordset(${rows}::jsonb) as v(
      mesh_id text, relay_id uuid, count bigint, sequence bigint, last_at timestamptz(3)
    )
    where b.mesh_id = v.mesh_id and b.relay_id = v.relay_id`.execute(db)
}

/** How these relays were used, by relay. */
export async function listRelayActivity(
  db: Db,
  meshId: MeshId,
  relayIds: readonly string[],
): Promise<Map<string, RelayActivity>> {
  if (relayIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('relay_bundle')
    .select(['relay_id', 'sequence', 'fetches', 'last_at', 'last_sequence'])
    .where('mesh_id', '=', meshId)
    .where('relay_id', 'in', relayIds)
    .execute()
  return new Map(
    rows.map((row) => [
      row.relay_id,
      {
        relayId: row.relay_id,
        sequence: row.sequence,
        fetches: row.fetches,
        lastAt: row.last_at ?? undefined,
        lastSequence: row.last_sequence ?? undefined,
      },
    ]),
  )
}

function relayedOf(row: Pick<Selectable<RelayBundleTable>, (typeof RELAY)[number]>): RelayedBundle {
  return {
    meshId: row.mesh_id,
    relayId: row.relay_id,
    trustDomain: row.trust_domain,
    sequence: row.sequence,
    hintSeconds: row.hint_seconds,
    document: row.document,
    digest: row.digest,
    changedAt: row.changed_at,
  }
}
