import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'

/** Names an object that can be applied from a file. */
export interface AppliedKey {
  readonly kind: string
  readonly name: string
}

/** Who applied an object from a file, and when. */
export interface Applied extends AppliedKey {
  /** Tells the object from a later one of the same name. */
  readonly objectId: string
  readonly owner: string
  /** SHA-256 of the applied document. */
  readonly digest: Uint8Array
  readonly appliedAt: Date
}

/** The ids of objects of one kind by name; those that do not exist are left out. */
export type AppliedKind = (
  db: Db,
  meshId: MeshId,
  names: readonly string[],
) => Promise<ReadonlyMap<string, string>>

/** Every kind of object that can be applied, by its name in documents; each feature hands its own in. */
export type AppliedKinds = Readonly<Record<string, AppliedKind>>

/** Bytes in lower-case hex. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
