import type { ChangeContext } from '../../audit/record.ts'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import type { Dependant } from '../hooks.ts'
import type { Mesh } from '../mesh.ts'

/** What of a topology is about to end. */
export interface TopologyTarget {
  readonly kind: 'cluster' | 'network'
  readonly meshId: MeshId
  readonly name: string
}

/** Tells what would end with a cluster or network; each higher feature hands one in. */
export type TopologyDependants = (db: Db, target: TopologyTarget) => Promise<readonly Dependant[]>

/** Ends what hangs on a cluster or network, in the transaction that deletes it and before its row goes. */
export type TopologyEnder = (
  trx: Db,
  target: TopologyTarget,
  context: ChangeContext,
) => Promise<void>

/** Gives a new cluster what it needs in the transaction that makes it: its intermediates. */
export type ClusterFounder = (
  trx: Db,
  mesh: Mesh,
  founding: { readonly cluster: string; readonly context: ChangeContext },
) => Promise<void>

/** A cluster on its way from one mesh to another of this service. */
export interface ClusterMove {
  readonly from: Mesh
  readonly to: Mesh
  readonly cluster: string
  readonly context: ChangeContext
}

/** Something that a move takes along, makes anew or ends. */
export interface MovedObject {
  readonly kind: string
  /** Its name before the move. */
  readonly name: string
  /** Its name afterwards; absent for what ends. */
  readonly becomes?: string
  readonly effect: string
}

/**
 * Moves what hangs on a cluster, in the transaction that moves it: when both clusters exist, and before the old one
 * goes. Throws CONFLICT where the other mesh has no room for it.
 */
export type ClusterMover = (trx: Db, move: ClusterMove) => Promise<readonly MovedObject[]>

/** Tells what stands still while a cluster is disabled; it blocks nothing. */
export type ClusterPauses = (
  db: Db,
  meshId: MeshId,
  disabled: { readonly cluster: string; readonly now: Date },
) => Promise<readonly Dependant[]>

/** What higher features add to the making, moving and ending of clusters and networks. */
export interface TopologyHooks {
  readonly founders: readonly ClusterFounder[]
  readonly dependants: readonly TopologyDependants[]
  readonly enders: readonly TopologyEnder[]
  readonly movers: readonly ClusterMover[]
  readonly pauses: readonly ClusterPauses[]
}
