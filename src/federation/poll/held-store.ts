import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type BundleSource, type Db, type RelationshipState } from '../../db/schema.ts'
import { type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** A peer's domain and the document that is in use of it, whatever the relationship's state. */
export interface HeldBundle {
  readonly relationshipId: string
  readonly relationship: string
  readonly state: RelationshipState
  /** Whether the relationship was ever active. */
  readonly wasActive: boolean
  readonly trustDomain: TrustDomain
  readonly source: BundleSource
  readonly endpointId: SpiffeId | undefined
  readonly relayId: string
  /** For a peer of this service, what it publishes now. */
  readonly document: Uint8Array | undefined
  /** Which document that is: equal for equal ones. */
  readonly version: string | undefined
}

interface HeldRow {
  id: string
  name: string
  state: RelationshipState
  activated_at: Date | null
  trust_domain: TrustDomain
  source: BundleSource
  endpoint_spiffe_id: SpiffeId | null
  relay_id: string
  document: Uint8Array | null
  version: string | null
}

const HELD = sql`
  select r.id, r.name, r.state, r.activated_at, d.trust_domain, d.source, d.endpoint_spiffe_id, d.relay_id,
    coalesce(b.document, o.document) as document,
    coalesce('n' || b.n::text, 's' || o.sequence::text) as version
  from relationship_domain d
  join relationship r on r.mesh_id = d.mesh_id and r.id = d.relationship_id and r.purpose = 'peer'
  left join peer_bundle_revision b on b.mesh_id = d.mesh_id and b.relationship_id = d.relationship_id
    and b.trust_domain = d.trust_domain and b.disposition = 'current'
  left join trust_domain t on d.source = 'local' and t.name = d.trust_domain
  left join lateral (
    select c.document, c.sequence from bundle_revision c
    where c.mesh_id = t.mesh_id and c.trust_domain = t.name
    order by c.sequence desc limit 1
  ) as o on true`

/** Domains of a mesh's relationships that are not over, in pages, each with the document in use. */
export async function listHeld(
  db: Db,
  meshId: MeshId,
  page: {
    readonly after?: Pick<HeldBundle, 'relationshipId' | 'trustDomain'> | undefined
    readonly limit: number
  },
): Promise<HeldBundle[]> {
  const after =
    page.after === undefined
      ? sql`true`
      : sql`(d.relationship_id, d.trust_domain) > (${page.after.relationshipId}, ${page.after.trustDomain})`
  const { rows } = await sql<HeldRow>`${HELD}
    where d.mesh_id = ${meshId} and r.state <> 'terminated' and ${after}
    order by d.relationship_id, d.trust_domain limit ${page.limit}`.execute(db)
  return rows.map(heldOf)
}

/** The domain that a relay stands for, whatever the relationship's state; undefined once it is deleted. */
export async function findHeldByRelay(
  db: Db,
  meshId: MeshId,
  relayId: string,
): Promise<HeldBundle | undefined> {
  const { rows } = await sql<HeldRow>`${HELD}
    where d.mesh_id = ${meshId} and d.relay_id = ${relayId}`.execute(db)
  return rows[0] === undefined ? undefined : heldOf(rows[0])
}

function heldOf(row: HeldRow): HeldBundle {
  return {
    relationshipId: row.id,
    relationship: row.name,
    state: row.state,
    wasActive: row.activated_at !== null,
    trustDomain: row.trust_domain,
    source: row.source,
    endpointId: row.endpoint_spiffe_id ?? undefined,
    relayId: row.relay_id,
    document: row.document ?? undefined,
    version: row.version ?? undefined,
  }
}
