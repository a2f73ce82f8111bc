import type { TrustDomain } from '../spiffe/trust-domain.ts'

/** Who does what only one replica may do, and until when. */
export interface LeaseTable {
  name: string
  owner: string | null
  epoch: bigint
  lease_until: Date | null
}

/** Living replicas. */
export interface ReplicaTable {
  id: string
  started_at: Date
  seen_at: Date
}

/** The bundle sequence that each living replica serves, for "all replicas serve the key". */
export interface ReplicaBundleTable {
  replica_id: string
  trust_domain: TrustDomain
  sequence: bigint
  since: Date
}

/** A counter for each mesh and topic, raised by every change. */
export interface ChangeTable {
  mesh_id: string
  topic: string
  revision: bigint
}

/** Single facts about the whole database. */
export interface ServiceMetaTable {
  name: string
  value: string
}
