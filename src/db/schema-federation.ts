import type { Generated } from 'kysely'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshId } from './ids.ts'
import type { Json } from './json-column.ts'

/** Standing of a relationship; health is apart. */
export type RelationshipState = 'pending' | 'active' | 'suspended' | 'terminated'

/** Consent of one side to a relationship. */
export type Consent = 'given' | 'assumed' | 'pending' | 'withdrawn'

/** Where a peer's bundle comes from. */
export type BundleSource = 'https_web' | 'https_spiffe' | 'static'

/** A mesh's standing with one peer mesh. */
export interface RelationshipTable {
  mesh_id: MeshId
  id: string
  name: string
  generation: Generated<bigint>
  peer_mesh_name: string | null
  our_consent: Consent
  their_consent: Consent
  state: RelationshipState
  change_policy: 'auto'
  hint_min_seconds: number | null
  hint_max_seconds: number | null
  note: string | null
  version: Generated<bigint>
  created_at: Date
  activated_at: Date | null
  terminated_at: Date | null
}

/** Trust domains of a peer, and how their bundles are fetched. */
export interface RelationshipDomainTable {
  mesh_id: MeshId
  relationship_id: string
  trust_domain: TrustDomain
  source: BundleSource
  endpoint_url: string | null
  endpoint_spiffe_id: SpiffeId | null
  /** The mesh's own reader row for this peer, so that its fetches of our bundle can be seen. */
  reader_id: string | null
}

/** When a domain is polled next, who polls it now, and how the last poll ended. */
export interface PollTable {
  mesh_id: MeshId
  relationship_id: string
  trust_domain: TrustDomain
  next_at: Date
  owner: string | null
  epoch: Generated<bigint>
  lease_until: Date | null
  failures: Generated<number>
  http_etag: string | null
  health: Generated<string>
  health_reason: string | null
  last_attempt_at: Date | null
  last_success_at: Date | null
  last_error: string | null
  /** Seconds between polls that the last outcome led to. */
  interval_seconds: Generated<number>
}

/** Bundles of peers that are in use or were, as they were received. */
export interface PeerBundleRevisionTable {
  mesh_id: MeshId
  relationship_id: string
  trust_domain: TrustDomain
  n: bigint
  /** numeric(20,0): the whole uint64 range. */
  sequence: string | null
  refresh_hint_seconds: number | null
  document: Uint8Array
  digest: Uint8Array
  received_at: Date
  /** How the document was authenticated: resolved address, presented ID, chain fingerprint, redirects; or by hand and by whom. */
  verified_by: Json<Record<string, unknown>>
  origin: 'fetched' | 'manual'
  disposition: 'current' | 'superseded' | 'removed'
  reason: string | null
}

/** Destinations that outgoing connections may reach although they are not public. */
export interface EgressRuleTable {
  id: string
  /** CIDR, address or host name. */
  destination: string
  port: number | null
  mesh_id: MeshId | null
  note: string | null
  created_at: Date
}
