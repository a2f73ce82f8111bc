import { requireOwned } from '../../access/owner-scope.ts'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import { quoted, type ServiceError } from '../../errors.ts'
import type { Dependant } from '../hooks.ts'
import { checkHostAndPort } from './address.ts'
import { loss, ownPlanes } from './cluster-rules.ts'
import * as store from './control-plane-store.ts'
import type { KeptControlPlane } from './control-plane-store.ts'
import type { KeptTopology } from './find-topology.ts'
import {
  checkEnding,
  type Ending,
  type EndOptions,
  holdTopology,
  nameTaken,
  noSuchObject,
  settleTopology,
  type TopologyContext,
} from './hold-topology.ts'
import { checkLocality } from './locality.ts'
import { checkRoom, illegal } from './rules.ts'
import type { Locality } from './topology.ts'

/** A control plane as somebody writes it; null takes a value away. */
export interface ControlPlaneDraft {
  readonly name: string
  readonly type: KeptControlPlane['type']
  /** The cluster that a primary one runs in. */
  readonly cluster?: string | undefined
  readonly address?: string | null | undefined
  readonly locality?: Pick<Locality, 'region' | 'zone'> | undefined
  readonly state?: KeptControlPlane['state'] | undefined
  readonly heartbeatSeconds?: number | null | undefined
}

/** What of a control plane can change. */
export type ControlPlaneChange = Omit<Partial<ControlPlaneDraft>, 'name' | 'type' | 'cluster'>

/**
 * Makes a control plane in the caller's transaction; no cluster uses it before it is told to.
 *
 * Throws NOT_FOUND (the mesh), ALREADY_EXISTS, INVALID_REQUEST (a rule), CONFLICT, FORBIDDEN.
 */
export async function createControlPlane(
  trx: Db,
  meshId: MeshId,
  { draft, context }: { readonly draft: ControlPlaneDraft; readonly context: TopologyContext },
): Promise<KeptControlPlane> {
  const { name, type, cluster } = draft
  requireOwnPlane(context, { name, cluster })
  const { topology } = await holdTopology(trx, meshId)
  if (topology.controlPlanes.has(name)) throw nameTaken('control plane', name, meshId)
  checkRoom('control plane', topology.controlPlanes.size)
  const plane: KeptControlPlane = {
    name,
    type,
    cluster,
    address: draft.address ?? undefined,
    locality: draft.locality ?? {},
    state: draft.state ?? 'active',
    heartbeatSeconds: draft.heartbeatSeconds ?? undefined,
    seenAt: undefined,
    version: 1n,
    createdAt: context.now,
  }
  checkControlPlane(plane, topology)
  await store.insertControlPlane(trx, meshId, plane)
  const body = auditedPlane(plane)
  await settleTopology(trx, meshId, {
    context,
    action: 'control-plane.create',
    object: objectOf(name),
    body,
  })
  return plane
}

/** What a change of one control plane is. */
export interface ControlPlaneChangeOptions {
  readonly name: string
  readonly change: ControlPlaneChange
  readonly context: TopologyContext
  readonly requireVersion: (version: bigint) => void
}

/** Changes a control plane in the caller's transaction; throws NOT_FOUND, PRECONDITION_FAILED, INVALID_REQUEST, FORBIDDEN. */
export async function changeControlPlane(
  trx: Db,
  meshId: MeshId,
  { name, change, context, requireVersion }: ControlPlaneChangeOptions,
): Promise<KeptControlPlane> {
  const { topology } = await holdTopology(trx, meshId)
  const before = await lockedPlane(trx, meshId, name)
  requireOwnPlane(context, before)
  requireVersion(before.version)
  const { address = before.address, heartbeatSeconds = before.heartbeatSeconds } = change
  const after: KeptControlPlane = {
    ...before,
    address: address ?? undefined,
    heartbeatSeconds: heartbeatSeconds ?? undefined,
    locality: change.locality ?? before.locality,
    state: change.state ?? before.state,
    version: before.version + 1n,
  }
  checkControlPlane(after, topology)
  await store.updateControlPlane(trx, meshId, after)
  const body = { before: auditedPlane(before), after: auditedPlane(after) }
  await settleTopology(trx, meshId, {
    context,
    action: 'control-plane.update',
    object: objectOf(name),
    body,
  })
  return after
}

/**
 * Deletes a control plane and takes the clusters that use it off it, in the caller's transaction.
 *
 * Throws NOT_FOUND, PRECONDITION_FAILED, FORBIDDEN, CONFLICT while clusters use it and it is not forced, and
 * INVALID_REQUEST where a cluster would be left without any, or a primary one without its own.
 */
export async function deleteControlPlane(
  trx: Db,
  meshId: MeshId,
  options: EndOptions,
): Promise<{ readonly plane: KeptControlPlane; readonly ended: readonly Dependant[] }> {
  const { name, context } = options
  const { topology } = await holdTopology(trx, meshId)
  const plane = await lockedPlane(trx, meshId, name)
  requireOwnPlane(context, plane)
  options.requireVersion(plane.version)
  const ending = endOfPlane(plane, topology)
  checkEnding(`control plane ${name}`, ending, options)
  const { ended } = ending
  await store.releaseControlPlane(trx, meshId, name)
  await store.deleteControlPlane(trx, meshId, name)
  const body = { ...auditedPlane(plane), forced: options.force, ended }
  await settleTopology(trx, meshId, {
    context,
    action: 'control-plane.delete',
    object: objectOf(name),
    body,
  })
  return { plane, ended }
}

/** The control plane of this name, locked; throws NOT_FOUND. */
export async function lockedPlane(
  trx: Db,
  meshId: MeshId,
  name: string,
): Promise<KeptControlPlane> {
  const [plane] = await store.lockControlPlanes(trx, meshId, [name])
  if (plane === undefined) throw noSuchObject('control plane', name, meshId)
  return plane
}

/** Refuses (FORBIDDEN) a control plane that runs in no cluster of somebody's grant. */
export function requireOwnPlane(
  { ownerClusters }: TopologyContext,
  { name, cluster }: Pick<KeptControlPlane, 'name' | 'cluster'>,
): void {
  const within = cluster === undefined ? [] : [cluster]
  requireOwned(ownerClusters, { title: `control plane ${name}`, within })
}

function checkControlPlane(plane: KeptControlPlane, topology: KeptTopology): void {
  checkLocality(plane.locality)
  if (plane.address !== undefined) checkHostAndPort(plane.address, '/address')
  const { name, type, cluster } = plane
  if (type !== 'primary') {
    if (cluster === undefined) return
    const found = `${type} control plane ${quoted(name)} names cluster ${quoted(cluster)}`
    throw illegal('external-outside-mesh', found, { pointer: '/cluster' })
  }
  const at = { pointer: '/cluster', next: 'entente cluster list' }
  if (cluster === undefined) {
    const found = `primary control plane ${quoted(name)} names no cluster`
    throw illegal('primary-in-primary-cluster', found, at)
  }
  const host = topology.clusters.get(cluster)
  if (host?.role === 'primary') return
  const what = host === undefined ? 'no cluster of this mesh' : 'a remote cluster'
  const found = `primary control plane ${quoted(name)} names ${quoted(cluster)}, ${what}`
  throw illegal('primary-in-primary-cluster', found, at)
}

function endOfPlane({ name, cluster }: KeptControlPlane, topology: KeptTopology): Ending {
  const ended: Dependant[] = []
  const faults: ServiceError[] = []
  for (const user of topology.clusters.values()) {
    const lost = loss(user, [name])
    ended.push(...lost.ended)
    faults.push(...lost.faults)
  }
  if (cluster !== undefined && ownPlanes(cluster, topology).length === 1) {
    const found = `${quoted(name)} is the only control plane in primary cluster ${quoted(cluster)}`
    const next = `entente cluster change ${cluster} --role remote --control-planes OTHERS`
    faults.push(illegal('primary-has-control-plane', found, { next }))
    const effect = 'would have no control plane of its own: not even force does that'
    ended.push({ kind: 'cluster', name: cluster, effect, blocks: true })
  }
  return { ended, faults }
}

function objectOf(name: string): string {
  return `control-plane/${name}`
}

function auditedPlane(plane: KeptControlPlane): Record<string, unknown> {
  const { type, cluster, address, locality, state, heartbeatSeconds } = plane
  return {
    type,
    cluster: cluster ?? null,
    address: address ?? null,
    locality,
    state,
    heartbeatSeconds: heartbeatSeconds ?? null,
  }
}
