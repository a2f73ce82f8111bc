import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshId } from './ids.ts'
import type { Json } from './json-column.ts'
import type { Consent, RelationshipState, RevisionOrigin } from './schema-federation.ts'

/**
 * Every change in the standing of a relationship. Kept for 400 days beyond the relationship, and while it exists at most
 * 1,000 beside our own consents (federation/trust/keep-trust-history.ts).
 */
export interface RelationshipStandingTable {
  mesh_id: MeshId
  relationship_id: string
  n: bigint
  /** Of the relationship at that moment. */
  name: string
  event: string
  state: RelationshipState
  our_consent: Consent
  their_consent: Consent
  at: Date
  actor: string
  reason: string | null
}

/**
 * From when until when a mesh trusted one authority of a peer; outlives revision and relationship. Ended ones are kept
 * for 400 days and at most 20,000 of a relationship (federation/trust/keep-trust-history.ts).
 *
 * Kind `local` stands for whatever a trust domain of this service published meanwhile.
 */
export interface TrustSpanTable {
  mesh_id: MeshId
  id: string
  relationship_id: string
  /** Name of the relationship when the span began. */
  relationship: string
  trust_domain: TrustDomain
  kind: 'x509' | 'jwt' | 'local'
  public_key_sha256: Uint8Array | null
  certificate_sha256: Uint8Array | null
  subject: string | null
  kid: string | null
  not_before: Date | null
  not_after: Date | null
  /** The revision that was in use when the span began. */
  revision_n: bigint | null
  sequence: string | null
  digest: Uint8Array | null
  origin: RevisionOrigin | null
  verified_by: Json<Record<string, unknown>> | null
  /** Who approved that revision, if it was held back. */
  approved_by: string | null
  from_at: Date
  from_event: string
  from_actor: string
  until_at: Date | null
  until_event: string | null
  until_actor: string | null
}

/** Since when the history of a mesh's trust is whole: it was not kept before, or is pruned. */
export interface TrustHistoryTable {
  mesh_id: MeshId
  complete_since: Date
}
