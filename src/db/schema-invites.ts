import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshId } from './ids.ts'
import type { Json } from './json-column.ts'

/** A bundle URL of ours that was made for an invite. */
export interface InviteReader {
  readonly trustDomain: TrustDomain
  readonly id: string
}

/**
 * Invites that we made: good for one handshake.
 *
 * Retention: 30 days after use, cancellation or expiry; `federation/invite/prune-invites.ts`.
 */
export interface InviteTable {
  mesh_id: MeshId
  id: string
  /** SHA-256 of what a handshake shows of the secret; neither can be made from it. */
  secret_hash: Uint8Array
  /** Our name for the peer, wished beforehand. */
  name: string | null
  /** Whom it is for; naming it is our consent beforehand. */
  expected_trust_domain: TrustDomain | null
  /** Fingerprint that the bundle of that domain must have. */
  expected_fingerprint: string | null
  /** What the invite says of us, bundles as digests; a handshake must repeat it. */
  offered: Json<Record<string, unknown>>
  readers: Json<readonly InviteReader[]>
  created_at: Date
  created_by: string
  expires_at: Date
  cancelled_at: Date | null
  used_at: Date | null
  /** The first trust domain of whoever used it. */
  used_by: TrustDomain | null
  /** SHA-256 over key and content of the handshake that used it: the same again gets the same answer. */
  request_digest: Uint8Array | null
  answer: Json<Record<string, unknown>> | null
  relationship_id: string | null
  /** The last handshake that showed the secret and was refused. */
  refused_at: Date | null
  refusal: string | null
  refusal_next: string | null
}

/**
 * Invites of others that we accept: the handshake as it was sent, so that it can be repeated after a lost reply.
 *
 * Retention: until the invite ends; `federation/invite/prune-invites.ts`.
 */
export interface InviteAcceptanceTable {
  mesh_id: MeshId
  secret_hash: Uint8Array
  relationship_id: string
  handshake: string
  readers: Json<readonly InviteReader[]>
  expires_at: Date
}
