import type { MeshId } from '../../db/ids.ts'
import { quoted } from '../../errors.ts'
import { ownPlanes } from './cluster-rules.ts'
import type { KeptCluster } from './cluster-store.ts'
import type { KeptControlPlane } from './control-plane-store.ts'
import type { KeptTopology } from './find-topology.ts'
import { nameTaken, type TopologyContext } from './hold-topology.ts'
import { checkRoom, illegal } from './rules.ts'

interface Making {
  readonly meshId: MeshId
  readonly context: TopologyContext
}

/** The control plane that a new primary cluster brings; throws ALREADY_EXISTS, CONFLICT (no room for it). */
export function ownPlane(
  {
    name,
    ownControlPlane = name,
  }: { readonly name: string; readonly ownControlPlane?: string | undefined },
  topology: KeptTopology,
  { meshId, context }: Making,
): KeptControlPlane {
  if (topology.controlPlanes.has(ownControlPlane)) {
    throw nameTaken('control plane', ownControlPlane, meshId)
  }
  checkRoom('control plane', topology.controlPlanes.size)
  return {
    name: ownControlPlane,
    type: 'primary',
    cluster: name,
    address: undefined,
    locality: {},
    state: 'active',
    heartbeatSeconds: undefined,
    seenAt: undefined,
    version: 1n,
    createdAt: context.now,
  }
}

/** A topology with one more control plane, or as it is. */
export function withPlane(
  topology: KeptTopology,
  plane: KeptControlPlane | undefined,
): KeptTopology {
  if (plane === undefined) return topology
  return {
    ...topology,
    controlPlanes: new Map([...topology.controlPlanes, [plane.name, plane]]),
  }
}

/** A cluster as it is to be, whose role may be another one. */
export interface RoleChange extends Making {
  readonly after: KeptCluster
  /** The name of the control plane that a new primary cluster gets; default the cluster's. */
  readonly ownControlPlane: string | undefined
  readonly topology: KeptTopology
}

/** The control planes that a change of role makes and ends, and the topology with them and without them. */
export interface PlanesAfter {
  readonly topology: KeptTopology
  readonly made: readonly KeptControlPlane[]
  readonly ended: readonly string[]
}

/**
 * What a cluster's role does to its own control planes: one comes with `primary`, all go with `remote`.
 *
 * Throws INVALID_REQUEST (rule primary-in-primary-cluster) while another cluster uses one that would go.
 */
export function planesAfter(before: KeptCluster, change: RoleChange): PlanesAfter {
  const { after, topology, ownControlPlane } = change
  const { name } = before
  if (before.role === after.role) return { topology, made: [], ended: [] }
  if (after.role === 'primary') {
    const plane = ownPlane({ name, ownControlPlane }, topology, change)
    return { topology: withPlane(topology, plane), made: [plane], ended: [] }
  }
  const ended = ownPlanes(name, topology)
  for (const plane of ended) requireUnused(plane, name, topology)
  const left = [...topology.controlPlanes].filter(([plane]) => !ended.includes(plane))
  return { topology: { ...topology, controlPlanes: new Map(left) }, made: [], ended }
}

function requireUnused(plane: string, cluster: string, { clusters }: KeptTopology): void {
  const users = [...clusters.values()]
    .filter((one) => one.name !== cluster && one.controlPlanes.includes(plane))
    .map((one) => one.name)
  const [first] = users
  if (first === undefined) return
  const named = users.map((user) => quoted(user)).join(', ')
  const found = `control plane ${plane} of cluster ${cluster} would end with its role, and ${named} ${users.length === 1 ? 'uses' : 'use'} it`
  throw illegal('primary-in-primary-cluster', found, {
    pointer: '/role',
    next: `entente cluster change ${first} --control-planes OTHERS`,
  })
}
