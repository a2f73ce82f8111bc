import { requireOwned } from '../../access/owner-scope.ts'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import type { Dependant } from '../hooks.ts'
import { FIRST_OF_ALL } from './found-topology.ts'
import {
  checkEnding,
  deleteUnused,
  type EndOptions,
  holdTopology,
  nameTaken,
  noSuchObject,
  settleTopology,
  type TopologyContext,
} from './hold-topology.ts'
import type { TopologyHooks } from './hooks.ts'
import type { KeptTopology } from './find-topology.ts'
import { checkCluster, endOfCluster } from './cluster-rules.ts'
import * as store from './cluster-store.ts'
import type { KeptCluster } from './cluster-store.ts'
import {
  deleteControlPlane,
  insertControlPlane,
  type KeptControlPlane,
  releaseControlPlane,
} from './control-plane-store.ts'
import { deleteGateways } from './gateway-store.ts'
import { ownPlane, planesAfter, withPlane } from './own-control-plane.ts'
import { checkRoom } from './rules.ts'
import type { Locality } from './topology.ts'

/** A cluster as somebody writes it. */
export interface ClusterDraft {
  readonly name: string
  readonly role: KeptCluster['role']
  readonly state?: KeptCluster['state'] | undefined
  readonly locality?: Locality | undefined
  /** Default the network `default`. */
  readonly networks?: readonly string[] | undefined
  /** By rank; default, for a primary cluster, its own. */
  readonly controlPlanes?: readonly string[] | undefined
  /** The name of a primary cluster's own control plane; default the cluster's. */
  readonly ownControlPlane?: string | undefined
}

/** What of a cluster is to change; lists are replaced as a whole. */
export type ClusterChange = Partial<Omit<ClusterDraft, 'name'>>

/** What a change of clusters needs. */
export interface ClusterDeps {
  readonly context: TopologyContext
  readonly hooks: TopologyHooks
}

/**
 * Makes a cluster with its intermediates and, where it is primary, its own control plane, in the caller's transaction.
 *
 * Throws NOT_FOUND (the mesh), ALREADY_EXISTS, INVALID_REQUEST (a rule of {@link TOPOLOGY_RULES}), CONFLICT.
 */
export async function createCluster(
  trx: Db,
  meshId: MeshId,
  { draft, deps }: { readonly draft: ClusterDraft; readonly deps: ClusterDeps },
): Promise<KeptCluster> {
  const { context, hooks } = deps
  const { mesh, topology } = await holdTopology(trx, meshId)
  const { name } = draft
  if (topology.clusters.has(name)) throw nameTaken('cluster', name, meshId)
  checkRoom('cluster', topology.clusters.size)
  const own = draft.role === 'primary' ? ownPlane(draft, topology, { meshId, context }) : undefined
  const cluster = drafted(draft, topology, { own, context })
  checkCluster(cluster, withPlane(topology, own))
  await store.insertCluster(trx, meshId, { ...cluster, controlPlanes: [] })
  if (own !== undefined) await insertControlPlane(trx, meshId, own)
  await store.insertLinks(trx, meshId, { ...cluster, networks: [] })
  for (const found of hooks.founders) await found(trx, mesh, { cluster: name, context })
  const body = { ...auditedCluster(cluster), ownControlPlane: own?.name ?? null }
  await settle(trx, meshId, { context, action: 'cluster.create', name, body })
  return cluster
}

/** What a change of one cluster is. */
export interface ClusterChangeOptions {
  readonly name: string
  readonly change: ClusterChange
  readonly context: TopologyContext
  readonly requireVersion: (version: bigint) => void
}

/**
 * Changes a cluster in the caller's transaction; a remote one that becomes primary gets a control plane of its own,
 * a primary one that becomes remote loses its own.
 *
 * Throws NOT_FOUND, PRECONDITION_FAILED, INVALID_REQUEST (a rule), CONFLICT, FORBIDDEN.
 */
export async function changeCluster(
  trx: Db,
  meshId: MeshId,
  { name, change, context, requireVersion }: ClusterChangeOptions,
): Promise<KeptCluster> {
  const { topology } = await holdTopology(trx, meshId)
  const before = topology.clusters.get(name)
  if (before === undefined) throw noSuchObject('cluster', name, meshId)
  requireVersion(before.version)
  const { ownControlPlane, ...rest } = change
  const after: KeptCluster = {
    ...before,
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
    version: before.version + 1n,
  }
  requireOwnNetworks(context, { before, after, topology })
  const planes = planesAfter(before, { after, ownControlPlane, topology, meshId, context })
  const { made, ended } = planes
  checkCluster(after, planes.topology)
  for (const plane of made) await insertControlPlane(trx, meshId, plane)
  await store.updateCluster(trx, meshId, after)
  for (const plane of ended) await deleteControlPlane(trx, meshId, plane)
  const body = {
    before: auditedCluster(before),
    after: auditedCluster(after),
    controlPlanesMade: made.map((plane) => plane.name),
    controlPlanesEnded: ended,
  }
  await settle(trx, meshId, { context, action: 'cluster.update', name, body })
  return after
}

/**
 * Refuses (FORBIDDEN) networks that no cluster of somebody's grant is in: who is in a network receives what others
 * send there.
 */
function requireOwnNetworks(
  { ownerClusters }: TopologyContext,
  {
    before,
    after,
    topology,
  }: Readonly<{ before: KeptCluster; after: KeptCluster; topology: KeptTopology }>,
): void {
  const within = after.networks.filter((name) => !before.networks.includes(name))
  if (within.length === 0) return
  const own = ownerClusters?.flatMap((name) => topology.clusters.get(name)?.networks ?? [])
  requireOwned(own, { title: `cluster ${after.name}`, within })
}

/**
 * Deletes a cluster with what runs in it: its intermediates, its control planes, gateways, and what hooks add.
 *
 * Throws NOT_FOUND, PRECONDITION_FAILED, CONFLICT while something uses it and it is not forced, and INVALID_REQUEST
 * where a rule needs it.
 */
export async function deleteCluster(
  trx: Db,
  meshId: MeshId,
  { hooks, ...options }: EndOptions & { readonly hooks: TopologyHooks },
): Promise<{ readonly cluster: KeptCluster; readonly ended: readonly Dependant[] }> {
  const { name, context } = options
  const { topology } = await holdTopology(trx, meshId)
  const cluster = topology.clusters.get(name)
  if (cluster === undefined) throw noSuchObject('cluster', name, meshId)
  options.requireVersion(cluster.version)
  const target = { kind: 'cluster', meshId, name } as const
  const { faults, ended: own } = endOfCluster(topology, name)
  const ended = [...own]
  for (const ask of hooks.dependants) ended.push(...(await ask(trx, target)))
  checkEnding(`cluster ${name}`, { ended, faults }, options)
  if (options.dryRun && faults.length > 0) return { cluster, ended }
  for (const end of hooks.enders) await end(trx, target, context)
  await removeCluster(trx, meshId, { name, topology })
  const body = { ...auditedCluster(cluster), forced: options.force, ended }
  await settle(trx, meshId, { context, action: 'cluster.delete', name, body })
  return { cluster, ended }
}

/**
 * Deletes the rows of a cluster and of what runs in it. Throws CONFLICT where something outside the topology has come
 * to refer to it since hooks ended what did.
 */
export async function removeCluster(
  trx: Db,
  meshId: MeshId,
  { name, topology }: { readonly name: string; readonly topology: KeptTopology },
): Promise<void> {
  const gateways = topology.gateways.filter(({ cluster }) => cluster === name)
  await deleteGateways(
    trx,
    meshId,
    gateways.map((gateway) => gateway.name),
  )
  for (const plane of topology.controlPlanes.values()) {
    if (plane.cluster !== name) continue
    await releaseControlPlane(trx, meshId, plane.name)
    await deleteControlPlane(trx, meshId, plane.name)
  }
  await deleteUnused(`cluster ${name}`, () => store.deleteCluster(trx, meshId, name))
}

/** A cluster as audit records show it. */
export function auditedCluster(cluster: KeptCluster): Record<string, unknown> {
  const { role, state, issuing, locality, networks, controlPlanes } = cluster
  return { role, state, issuing, locality, networks, controlPlanes }
}

function drafted(
  draft: ClusterDraft,
  { networks }: KeptTopology,
  {
    own,
    context,
  }: { readonly own: KeptControlPlane | undefined; readonly context: TopologyContext },
): KeptCluster {
  return {
    name: draft.name,
    role: draft.role,
    state: draft.state ?? 'active',
    issuing: 'managed',
    locality: draft.locality ?? {},
    networks: draft.networks ?? (networks.has(FIRST_OF_ALL) ? [FIRST_OF_ALL] : []),
    controlPlanes: draft.controlPlanes ?? (own === undefined ? [] : [own.name]),
    version: 1n,
    createdAt: context.now,
  }
}

async function settle(
  trx: Db,
  meshId: MeshId,
  {
    name,
    ...change
  }: {
    readonly context: TopologyContext
    readonly action: string
    readonly name: string
    readonly body: unknown
  },
): Promise<void> {
  await settleTopology(trx, meshId, { ...change, object: `cluster/${name}` })
}
