import type { Generated } from 'kysely'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshId } from './ids.ts'

/**
 * Foreign public keys that a mesh trusts nowhere, and those that it did not trust for a while.
 *
 * Retention: as long as the mesh, since trust history reads it; a row is an operator's act of some hundred bytes.
 */
export interface DistrustedKeyTable {
  mesh_id: MeshId
  id: string
  /** SHA-256 of the DER SubjectPublicKeyInfo. */
  public_key_sha256: Uint8Array
  note: string | null
  since: Date
  by: string
  lifted_at: Date | null
  lifted_by: string | null
}

/**
 * Each peer domain's bundle as it was last handed to our own control planes, and who fetched it when.
 *
 * Retention: one row for each domain of a relationship that was ever asked for; leaves with the domain.
 */
export interface RelayBundleTable {
  mesh_id: MeshId
  relay_id: string
  trust_domain: TrustDomain
  /** Ours, apart from the peer's. */
  sequence: bigint
  hint_seconds: number
  document: Uint8Array
  /** SHA-256 of the content without the sequence: another one begins a new sequence. */
  digest: Uint8Array
  changed_at: Date
  fetches: Generated<bigint>
  last_at: Date | null
  /** Newest sequence that was certainly fetched. */
  last_sequence: bigint | null
}
