import type { ColumnType, Generated } from 'kysely'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshId } from './ids.ts'

/** How urgent an alert is, the least first. */
export type Severity = 'info' | 'warning' | 'critical'

/**
 * Conditions that somebody must know of, from their beginning to their end.
 *
 * Retention: 90 days after they ended; `federation/alert/prune-alerts.ts` prunes. Alerts of the whole service have no mesh.
 */
export interface AlertTable {
  /** The only order of alerts, of all meshes together: whoever reads some of them is shown the id instead. */
  nr: Generated<bigint>
  /** What it is called outside. */
  id: Generated<string>
  mesh_id: MeshId | null
  /** The relationship that it is about; it ends with it. */
  relationship_id: string | null
  code: string
  object: string
  /** The replica that sees it; null for what every replica reads in the database. */
  replica: string | null
  severity: Severity
  message: string
  raised_at: Date
  /** Refreshed every five minutes while it stands. */
  last_seen_at: Date
  /** Since when the condition is gone; it ends when it stays so. */
  missing_since: Date | null
  cleared_at: Date | null
}

/** When the stored bundle of a peer's domain ends; computed once per revision in use. */
export interface BundleForecastTable {
  mesh_id: MeshId
  relationship_id: string
  trust_domain: TrustDomain
  /** The revision that it was computed from. */
  n: bigint
  /** Digest of the distrusted keys that were left out. */
  distrusted: string
  /** From when on no X.509 authority is valid; null when there is none at all. */
  breaks_at: Date | null
  /** The first end of an authority that is still ahead. */
  first_end_at: Date | null
  /** Whole life of the authority that ends last. */
  life_seconds: bigint | null
  computed_at: Date
}

/** Who is told of alerts by an HTTPS request; without a mesh it is told of all. */
export interface WebhookTable {
  id: string
  mesh_id: MeshId | null
  /** Unique in its mesh, or among those of the service. */
  name: string
  url: string
  min_severity: Severity
  /** The codes it wants; null for all. */
  codes: ColumnType<readonly string[] | null, string | null, string | null>
  note: string | null
  /** Of the signatures, under the KEK. */
  sealed_secret: Uint8Array
  /** The replica that sends to it now: one delivery at a time. */
  owner: string | null
  epoch: Generated<bigint>
  lease_until: Date | null
  created_at: Date
}

/** What is to be sent, or was; retention: 30 days, `federation/alert/prune-alerts.ts` prunes. Goes with its webhook. */
export interface WebhookDeliveryTable {
  id: string
  /** The order, of all webhooks together; not shown. */
  nr: Generated<bigint>
  webhook_id: string
  event: string
  /** The exact text that is sent and signed. */
  body: string
  state: 'pending' | 'delivered' | 'dead'
  attempts: Generated<number>
  next_at: Date
  last_attempt_at: Date | null
  last_status: number | null
  last_error: string | null
  created_at: Date
  ended_at: Date | null
}
