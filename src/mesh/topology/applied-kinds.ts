import type { AppliedKind } from '../applied-object.ts'
import { madeAt } from './topology-store.ts'

/** The kind `Cluster`: told by the moment it was made, as all objects of a topology. */
export const appliedClusters: AppliedKind = (db, meshId, names) =>
  madeAt(db, meshId, { table: 'cluster', names })

/** The kind `ControlPlane`. */
export const appliedControlPlanes: AppliedKind = (db, meshId, names) =>
  madeAt(db, meshId, { table: 'control_plane', names })

/** The kind `Network`. */
export const appliedNetworks: AppliedKind = (db, meshId, names) =>
  madeAt(db, meshId, { table: 'network', names })

/** The kind `Gateway`. */
export const appliedGateways: AppliedKind = (db, meshId, names) =>
  madeAt(db, meshId, { table: 'gateway', names })
