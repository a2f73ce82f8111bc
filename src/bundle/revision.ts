import type { MeshId } from '../db/ids.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'

/** One published state of our own bundle. */
export interface BundleRevision {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly sequence: bigint
  /** The exact bytes that are served. */
  readonly document: Uint8Array
  /** SHA-256 of the document. */
  readonly digest: Uint8Array
  readonly hintSeconds: number
  /** Why it was published, in words. */
  readonly cause: string
  readonly createdAt: Date
}

/** A revision without its document. */
export type BundleRevisionHead = Omit<BundleRevision, 'document'>
