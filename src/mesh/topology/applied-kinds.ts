import { ownerClustersOf } from '../../access/owner-scope.ts'
import type { AppliedKind } from '../applied-object.ts'
import { topologyTargets } from './topology-store.ts'

/** The kind `Cluster`: told by the moment it was made, as all objects of a topology. */
export const appliedClusters: AppliedKind = {
  read: 'cluster.read',
  write: () => 'cluster.update',
  end: () => 'cluster.delete',
  scopeOf: ownerClustersOf,
  find: (db, meshId, names) =>
    topologyTargets(db, meshId, { table: 'cluster', names, clusterOf: 'name' }),
}

/** The kind `ControlPlane`; a primary one lies in its cluster. */
export const appliedControlPlanes: AppliedKind = {
  read: 'control-plane.read',
  write: () => 'control-plane.update',
  end: () => 'control-plane.delete',
  scopeOf: ownerClustersOf,
  find: (db, meshId, names) =>
    topologyTargets(db, meshId, { table: 'control_plane', names, clusterOf: 'cluster' }),
}

/** The kind `Network`. */
export const appliedNetworks: AppliedKind = {
  read: 'network.read',
  write: () => 'network.update',
  end: () => 'network.delete',
  scopeOf: ownerClustersOf,
  find: (db, meshId, names) =>
    topologyTargets(db, meshId, { table: 'network', names, clusterOf: undefined }),
}

/** The kind `Gateway`; it lies in the cluster that runs it. */
export const appliedGateways: AppliedKind = {
  read: 'gateway.read',
  write: () => 'gateway.update',
  end: () => 'gateway.delete',
  scopeOf: ownerClustersOf,
  find: (db, meshId, names) =>
    topologyTargets(db, meshId, { table: 'gateway', names, clusterOf: 'cluster' }),
}
