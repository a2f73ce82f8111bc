import type { ColumnType, Generated } from 'kysely'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshId } from './ids.ts'
import type { Json } from './json-column.ts'

/** Standing of a relationship; health is apart. */
export type RelationshipState = 'pending' | 'active' | 'suspended' | 'terminated'

/** Consent of one side to a relationship. */
export type Consent = 'given' | 'assumed' | 'pending' | 'withdrawn'

/** Where a peer's bundle comes from. */
export type BundleSource = 'https_web' | 'https_spiffe' | 'static' | 'local'

/** How additions in a peer's bundle are taken; removals are taken at once under every policy. */
export type ChangePolicy = 'auto' | 'overlap' | 'approve'

/** What became of a peer's document. */
export type Disposition = 'current' | 'superseded' | 'removed' | 'quarantined' | 'rejected'

/** Where a stored document comes from; reduced = what we held, less what a waiting document no longer has. */
export type RevisionOrigin = 'fetched' | 'manual' | 'signed' | 'reduced'

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
  change_policy: ChangePolicy
  hint_min_seconds: number | null
  hint_max_seconds: number | null
  note: string | null
  /** A peer, or the system that signs for a trust domain of ours. */
  purpose: Generated<'peer' | 'source'>
  version: Generated<bigint>
  created_at: Date
  activated_at: Date | null
  terminated_at: Date | null
  /** Suspended by our own operator, apart from any consent. */
  on_hold: Generated<boolean>
  /** Why it is suspended or terminated, for people. */
  standing_reason: string | null
  contact: string | null
  labels: ColumnType<Record<string, string>, string | undefined, string>
  review_at: Date | null
  expires_at: Date | null
  /** Of an Entente peer: who calls us on its behalf, and where it takes our calls. */
  their_exchange_id: SpiffeId | null
  their_exchange_url: string | null
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
  /** Names the relay of this domain in the URL for our own control planes. */
  relay_id: Generated<string>
  /** SHA-256 of the first bundle that counted; pinned. */
  first_digest: Uint8Array | null
  /** Recovery paths in their order; shape in federation/recovery/recovery.ts. */
  recovery: ColumnType<readonly unknown[], string | undefined, string>
}

/** A change of pinned parameters that one side wants; those in force stay so until both consent. */
export interface RelationshipProposalTable {
  mesh_id: MeshId
  relationship_id: string
  id: string
  origin: 'ours' | 'theirs'
  parameters: Json<Record<string, unknown>>
  our_consent: boolean
  their_consent: boolean
  note: string | null
  created_at: Date
  created_by: string
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
  /** The error code of the last poll, if it failed. */
  last_error_code: string | null
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
  origin: RevisionOrigin
  disposition: Disposition
  reason: string | null
  /** Approval or rejection of a quarantined document. */
  decided_at: Date | null
  decided_by: string | null
  /** When it ceased to be the one in use. */
  retired_at: Date | null
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
