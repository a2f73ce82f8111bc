import type { ColumnType, Generated } from 'kysely'

/** API tokens by their hash. */
export interface ApiTokenTable {
  id: string
  label: string
  hash: Uint8Array
  created_at: Date
  expires_at: Date | null
  revoked_at: Date | null
}

/** What tokens may do, and where. */
export interface GrantsTable {
  id: string
  principal: string
  role: string
  scope_kind: 'everything' | 'mesh' | 'clusters' | 'namespaces'
  /** null for everything. */
  mesh_id: string | null
  /** Of clusters or namespaces, sorted; null for the other kinds. */
  names: ColumnType<readonly string[] | null, string | null, string | null>
  created_at: Date
}

/** How much a mesh or a namespace of it may have. */
export interface QuotaTable {
  mesh_id: string
  /** '' for the whole mesh. */
  namespace: string
  kind: string
  max: number
  changed_at: Date
}

/** SVIDs issued a day, added up by the replicas every ten seconds; kept for 400 days. */
export interface SvidUsageTable {
  mesh_id: string
  /** `2026-01-31`, UTC. */
  day: string
  /** '' for identities that lie in none. */
  namespace: string
  issued: bigint
}

/** The audit log; a record has no number until it is sealed. */
export interface AuditRecordTable {
  id: Generated<bigint>
  n: bigint | null
  at: Date
  mesh_id: string | null
  actor: string
  action: string
  object: string
  body: Uint8Array
  hash: Uint8Array | null
}

/** Signed points of the audit log. */
export interface AuditLinkTable {
  upto_n: bigint
  hash: Uint8Array
  signature: Uint8Array
  at: Date
}
