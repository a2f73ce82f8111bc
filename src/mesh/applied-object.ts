import type { Action } from '../access/actions.ts'
import type { OwnerScope } from '../access/owner-scope.ts'
import type { Principal } from '../access/principal.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'

/** Names an object that can be applied from a file. */
export interface AppliedKey {
  readonly kind: string
  readonly name: string
}

/** One object that can be applied: of those with one name and kind one or, of rules, several. */
export interface AppliedId extends AppliedKey {
  /** Tells the object from others of the same name, also from a later one. */
  readonly objectId: string
}

/** Who applied an object from a file, and when. */
export interface Applied extends AppliedId {
  readonly owner: string
  /** SHA-256 of the applied document. */
  readonly digest: Uint8Array
  readonly appliedAt: Date
  /** Whether an author of this record for this owner may end the object, so that the owner's pruning does. */
  readonly prunable: boolean
}

/** An object as it is now. */
export interface AppliedTarget {
  readonly name: string
  readonly objectId: string
  /** The parts of the mesh that it lies in (see {@link AppliedKind.scopeOf}); none: it is the whole mesh's. */
  readonly within: readonly string[]
}

/** What there is of a kind in a mesh under these names; of equal names first the one that its name alone means. */
export type FindTargets = (
  db: Db,
  meshId: MeshId,
  names: readonly string[],
) => Promise<readonly AppliedTarget[]>

/** A kind of objects that can be applied from files. */
export interface AppliedKind {
  readonly find: FindTargets
  /** Who may read an object may read who applied it. */
  readonly read: Action
  /** Who may change an object of this name may say that a file did. */
  readonly write: (name: string) => Action
  /** Who may end it as well has it pruned with what else is of the owner. */
  readonly end: (name: string) => Action
  /** In which parts of a mesh somebody may do so: of namespaces, or of clusters. */
  readonly scopeOf: (principal: Principal, action: Action, meshId: string) => OwnerScope
}

/** Every kind of object that can be applied, by its name in documents; each feature hands its own in. */
export type AppliedKinds = Readonly<Record<string, AppliedKind>>

/** Objects that are the whole mesh's, from their ids by name. */
export function wholeMesh(
  find: (db: Db, meshId: MeshId, names: readonly string[]) => Promise<ReadonlyMap<string, string>>,
): FindTargets {
  return async (db, meshId, names) =>
    [...(await find(db, meshId, names))].map(([name, objectId]) => ({ name, objectId, within: [] }))
}

/** Bytes in lower-case hex. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
