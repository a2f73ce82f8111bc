import type { Generated } from 'kysely'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshId } from './ids.ts'
import type { Json } from './json-column.ts'

/** What a notice is about; the last is the only one that is believed by itself. */
export type NoticeKind = 'bundle' | 'relationship' | 'proposal' | 'termination'

/** When an Entente peer is asked next how it stands to us, and what it said last; one row per such relationship. */
export interface PeerExchangeTable {
  mesh_id: MeshId
  relationship_id: string
  next_at: Date
  owner: string | null
  epoch: Generated<bigint>
  lease_until: Date | null
  failures: Generated<number>
  asked_at: Date | null
  answered_at: Date | null
  last_error: string | null
  /** The last answer: a claim of the peer, shown and compared, never copied into our own entities. */
  told: Json<Record<string, unknown>> | null
  /** When it last gave us a notice that could be verified. */
  noticed_at: Date | null
  /** When somebody last claimed to have news of it. */
  hinted_at: Date | null
  /** The last poll of its bundles that its own word led to, at earliest. */
  early_at: Date | null
  /** When it last took a notice of ours. */
  notified_at: Date | null
}

/** Tokens that peers have used; a row is pruned when its token has ended, five minutes for clocks included. */
export interface PeerCallJtiTable {
  mesh_id: MeshId
  relationship_id: string
  jti: string
  expires_at: Date
}

/** Who proves an endpoint, kept with the one notice that is sent when the relationship knows it no longer. */
export interface NoticeEndpoint {
  readonly id: SpiffeId
  /** DER in base64. */
  readonly anchors: readonly string[]
}

/** Notices that a peer has not taken yet; dropped an hour after they were made, since polling repairs. */
export interface PeerNoticeTable {
  mesh_id: MeshId
  relationship_id: string
  kind: NoticeKind
  /** Of ours. */
  trust_domain: TrustDomain
  sequence: bigint | null
  reason: string | null
  endpoint: Json<NoticeEndpoint> | null
  created_at: Date
  attempts: Generated<number>
  next_at: Date
  owner: string | null
  epoch: Generated<bigint>
  lease_until: Date | null
  last_error: string | null
}

/** The newest sequence of each bundle of ours for which notices were written. */
export interface AnnouncedBundleTable {
  mesh_id: MeshId
  trust_domain: TrustDomain
  sequence: bigint
}

/** Hosts that a bundle endpoint has left and still answers under; ended after a day without a fetch. */
export interface BundleHostAliasTable {
  mesh_id: MeshId
  trust_domain: TrustDomain
  host: string
  base_url: string
  since: Date
  last_fetch_at: Date | null
}
