import type { Generated } from 'kysely'
import type { MeshId } from './ids.ts'
import type { Json } from './json-column.ts'

/**
 * Answers to POSTs that carried an `Idempotency-Key`, so that a repeated one is answered and not done again.
 *
 * Retention: 24 hours from the claim; `access/idempotency.ts` prunes. Of the service, not of a mesh: a key belongs
 * to the principal that chose it.
 */
export interface IdempotencyKeyTable {
  /** Id of the token. */
  principal: string
  method: string
  /** The route's pattern, without values. */
  route: string
  key: string
  /** SHA-256 over method, URL and body. */
  fingerprint: Uint8Array
  /** Names the request that holds the key; another takes over when it crashed. */
  claim: string
  claimed_at: Date
  /** Null while the first request is being handled. */
  status: number | null
  headers: Json<Record<string, string>> | null
  /** Null when the answer showed a secret. */
  body: string | null
  /** Where the object is whose secret the answer showed. */
  secret_of: string | null
}

/** Named sets of peers, in an order. */
export interface PeerGroupTable {
  mesh_id: MeshId
  /** Never changed: entries name their group by it. */
  name: string
  note: string | null
  version: bigint
  created_at: Date
}

/** Members of groups by rank; a member without a relationship is the mesh itself. */
export interface PeerGroupMemberTable {
  mesh_id: MeshId
  group_name: string
  rank: number
  relationship_id: string | null
}

/** Who applied an object from a file; a row goes with its mesh and counts for one incarnation of the object. */
export interface AppliedObjectTable {
  mesh_id: MeshId
  kind: string
  name: string
  /** Tells the object from a later one of the same name. */
  object_id: string
  owner: string
  /** SHA-256 of the applied document. */
  digest: Uint8Array
  applied_at: Date
  /** Whether whoever said so may end the object. */
  prunable: Generated<boolean>
}
