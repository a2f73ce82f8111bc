import type { Generated } from 'kysely'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshId } from './ids.ts'
import type { Json } from './json-column.ts'

/** What an entry federates with; a group by its name. */
export type FederatesWith = 'all' | 'none' | readonly TrustDomain[] | { readonly group: string }

/** Who may have which identity. */
export interface EntryTable {
  mesh_id: MeshId
  id: string
  trust_domain: TrustDomain
  spiffe_id: SpiffeId
  x509_ttl_seconds: number
  jwt_ttl_seconds: number
  dns_names: Json<readonly string[]>
  federates_with: Json<FederatesWith>
  hint: string | null
  /** The cluster whose endpoints its holder may report. */
  cluster: Generated<string | null>
  expires_at: Date | null
  version: Generated<bigint>
  created_at: Date
}

/** Join tokens by their hash; each yields one SVID of its entry. */
export interface JoinTokenTable {
  mesh_id: MeshId
  id: string
  entry_id: string
  /** SHA-256 of the 256-bit secret. */
  hash: Uint8Array
  expires_at: Date
  used_at: Date | null
  created_at: Date
}

/** Every SVID that was handed out, partitioned by the day on which it ends. */
export interface SvidIssuedTable {
  /** UTC day of `not_after`; the partition key. */
  end_day: string
  mesh_id: MeshId
  trust_domain: TrustDomain
  kind: 'x509' | 'jwt'
  /** Hex serial number, or the JWT's `jti`. */
  serial: string
  spiffe_id: SpiffeId
  entry_id: string
  public_key_sha256: Uint8Array | null
  authority_id: string
  not_after: Date
  first_attested_at: Date
  bundle_sequence: bigint
  refresh_at: Date
  issued_at: Date
}
